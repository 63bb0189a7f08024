//! Messages of the protocol there and back, cut anywhere, and bytes that are none.

use super::*;
use crate::packed::Packed;

fn packed(texts: &[&str]) -> Packed {
    let mut packed = Packed::new();
    for text in texts {
        assert!(packed.push(text.as_bytes()));
    }
    packed
}

fn with_requests(check: impl FnOnce(&[Request<'_>])) {
    let (entries, directory) = (packed(&["A=1", "B="]), packed(&["/tmp"]));
    let words = packed(&["/bin/echo", "", "two words"]);
    let spawn = Spawn {
        fence: 1 << 48 | 7,
        environment: 3,
        additions: entries.view(),
        directory: directory.view(),
        words: words.view(),
        time_limit_us: Some(0),
        grace_us: 10_000_000,
        output_max: 64 << 20,
        exclusive: false,
        cpu_millis: 250,
    };
    check(&[
        Request::Hello { on_close: OnClose::Kill, cpu_millis: 2_000, mark: b"mark" },
        Request::Environment { number: 3, over: None, entries: entries.view() },
        Request::Environment { number: 4, over: Some(u32::MAX), entries: PackedView::default() },
        Request::Spawn(spawn),
        Request::Hello { on_close: OnClose::Keep { for_us: 0 }, cpu_millis: 0, mark: b"" },
        Request::Spawn(Spawn { time_limit_us: None, exclusive: true, ..spawn }),
        Request::Heard { fence: 7 },
        Request::Deadline { at_us: 8 },
        Request::Stop { fence: 7, grace_us: 1 },
        Request::Kill { fence: u64::MAX },
        Request::Forget { number: 3 },
        Request::List,
        Request::Shutdown { grace_us: 5 },
    ]);
}

fn events() -> Vec<Event<'static>> {
    let exited = Exited {
        fence: 9,
        exit: Exit::Code(255),
        cause: Cause::Itself,
        took_us: 12,
        dropped: 1 << 40,
    };
    vec![
        Event::Welcome { pid: 77 },
        Event::Started(Started { fence: 9, pid: 1, wall_us: -5, boot_us: 6 }),
        Event::Output { fence: 9, stream: Stream::Stderr, bytes: b"\0\xff\n" },
        Event::Exited(exited),
        Event::Exited(Exited { exit: Exit::Signal(9), cause: Cause::TimeLimit, ..exited }),
        Event::NotStarted { fence: 9, step: StartStep::Program, errno: 2 },
        Event::NeverBegan { fence: 9 },
        Event::Refused { fence: 9, started: true },
        Event::Exited(Exited { cause: Cause::Deadline, ..exited }),
        Event::NotStarted { fence: 9, step: StartStep::Guard, errno: 2 },
        Event::Held(vec![
            Held { fence: 1, began: None, cause: Cause::Itself },
            Held {
                fence: 2,
                began: Some(Started { fence: 2, pid: 3, wall_us: -4, boot_us: 5 }),
                cause: Cause::Stopped,
            },
        ]),
    ]
}

#[test]
fn requests_come_out_as_they_went_in_however_the_stream_is_cut() {
    with_requests(|requests| {
        let mut batch = RequestBatch::default();
        requests.iter().for_each(|request| batch.push(request));
        for piece in 1..40 {
            let (mut frames, mut seen) = (Frames::default(), 0);
            for bytes in batch.bytes().chunks(piece) {
                frames.extend(bytes);
                while let Some(body) = frames.next_body().unwrap() {
                    assert_eq!(Request::read(body), Ok(requests[seen]));
                    seen += 1;
                }
            }
            assert_eq!(seen, requests.len());
        }
    });
}

#[test]
fn events_come_out_as_they_went_in() {
    let mut batch = EventBatch::default();
    events().iter().for_each(|event| batch.push(event));
    let mut frames = Frames::default();
    frames.extend(batch.bytes());
    for event in events() {
        assert_eq!(Event::read(frames.next_body().unwrap().unwrap()), Ok(event));
    }
    assert_eq!(frames.next_body(), Ok(None));
}

#[test]
fn outputs_that_were_not_sent_whole_are_taken_along_and_nothing_else() {
    let output = |bytes| Event::Output { fence: 1, stream: Stream::Stdout, bytes };
    let mut batch = EventBatch::default();
    batch.push(&output(b"sent"));
    let first = batch.bytes().len();
    batch.push(&Event::NeverBegan { fence: 2 });
    batch.push(&output(b"cut"));
    let second = batch.bytes().len();
    batch.push(&output(b"waits"));
    for (sent, outputs) in [(0, 3), (first - 1, 3), (first, 2), (second - 1, 2), (second, 1)] {
        let mut left = EventBatch::default();
        left.append(&batch);
        let mut frames = Frames::default();
        frames.extend(left.take_outputs(sent).bytes());
        let mut seen = 0;
        while let Some(body) = frames.next_body().unwrap() {
            assert!(matches!(Event::read(body), Ok(Event::Output { .. })));
            seen += 1;
        }
        assert_eq!(seen, outputs, "after {sent} bytes");
        assert!(left.is_empty());
    }
}

#[test]
fn an_output_that_keeps_nothing_is_no_event() {
    let mut batch = EventBatch::default();
    assert_eq!(batch.output(1, Stream::Stdout, |_| 0), 0);
    assert!(batch.is_empty());
}

#[test]
fn another_version_kind_or_length_is_named() {
    assert_eq!(Request::read(&[2, 7]), Err(Malformed::Version { found: 2 }));
    assert_eq!(Request::read(&[0, 7]), Err(Malformed::Version { found: 0 }));
    assert_eq!(Request::read(&[1, 99]), Err(Malformed::Kind { found: 99 }));
    assert_eq!(Request::read(&[1, 7, 0]), Err(Malformed::Fields { kind: 7 }));
    let mut frames = Frames::default();
    frames.extend(&u32::MAX.to_le_bytes());
    assert_eq!(frames.next_body(), Err(Malformed::TooLong { bytes: u32::MAX as usize }));
}

/// Any bytes are a message or an error: random ones, and real ones with a few bytes changed.
#[test]
fn no_bytes_make_it_panic() {
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    with_requests(|requests| {
        for request in requests {
            let mut batch = RequestBatch::default();
            batch.push(request);
            bodies.push(batch.bytes()[4..].to_vec());
        }
    });
    for event in events() {
        let mut batch = EventBatch::default();
        batch.push(&event);
        bodies.push(batch.bytes()[4..].to_vec());
    }
    let mut seed = 11_u64;
    let mut random = move |bound: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % bound
    };
    let (mut good, mut bad) = (0, 0);
    for _ in 0..200_000 {
        let mut body = bodies[random(bodies.len())].clone();
        for _ in 0..random(4) {
            let place = random(body.len());
            body[place] = random(256) as u8;
        }
        body.truncate(body.len() - random(3).min(body.len()));
        for read in [Request::read(&body).is_ok(), Event::read(&body).is_ok()] {
            *(if read { &mut good } else { &mut bad }) += 1;
        }
    }
    assert!(good > 1_000 && bad > 1_000, "{good} read, {bad} refused");
}
