//! Messages of the run service: what is taken in goes out, and comes back the same.

use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::record::follow::{Change, Progress};
use dagmar_common::record::{Entry, RunRecord, RunSummary, Submission};
use dagmar_common::value::Value;
use dagmar_proto::convert::{submission, submit_request};
use dagmar_proto::v1;
use prost::Message;

pub fn seeds() -> Vec<Vec<u8>> {
    let submission = Submission {
        request: RequestId(3),
        run: RunId::new("greedy-yonath-1608"),
        generated: true,
        tag: "weekly".into(),
        graph: vec![1, 2, 3].into(),
        parameters: vec![("n".into(), Value::from_loose("[1, \"two\", 1e400, {\"k\": null}]"))],
        context: Value::from_loose("{}"),
    };
    let mut seeds = vec![submit_request(submission).encode_to_vec()];
    let story = super::segment::story();
    seeds.extend(story.iter().map(|entry| v1::StoryEntry::from(entry).encode_to_vec()));
    seeds
}

pub fn check(bytes: &[u8]) {
    if let Ok(Ok(ours)) = v1::SubmitRequest::decode(bytes).map(submission) {
        assert_eq!(submission(submit_request(ours.clone())), Ok(ours));
    }
    both_ways::<v1::StoryEntry, Entry>(bytes);
    both_ways::<v1::RunRecord, RunRecord>(bytes);
    both_ways::<v1::RunSummary, RunSummary>(bytes);
    both_ways::<v1::WatchRunResponse, Change>(bytes);
    both_ways::<v1::GetProgressResponse, Progress>(bytes);
}

fn both_ways<Wire, Ours>(bytes: &[u8])
where
    Wire: Message + Default + for<'a> From<&'a Ours>,
    Ours: TryFrom<Wire> + PartialEq + std::fmt::Debug,
    Ours::Error: std::fmt::Debug,
{
    let Ok(wire) = Wire::decode(bytes) else { return };
    let Ok(ours) = Ours::try_from(wire) else { return };
    let again = Ours::try_from(Wire::from(&ours)).expect("what was taken in goes out");
    assert_eq!(again, ours);
}
