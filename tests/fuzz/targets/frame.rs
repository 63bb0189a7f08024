//! Frames between worker and supervisor: one message is one row of bytes, cut anywhere.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use dagmar_supervisor::packed::Packed;
use dagmar_supervisor::protocol::{
    Cause, Event, EventBatch, Exit, Exited, Frames, Held, OnClose, Request, RequestBatch, Spawn,
    StartStep, Started, Stream,
};

/// A socket holds no more at once.
const STREAM_BYTES_MAX: usize = 64 << 10;

pub fn seeds() -> Vec<Vec<u8>> {
    let mut entries = Packed::new();
    ["A=1", "B="].iter().for_each(|entry| assert!(entries.push(entry.as_bytes())));
    let mut words = Packed::new();
    ["/bin/echo", "", "two words"].iter().for_each(|word| assert!(words.push(word.as_bytes())));
    let spawn = Spawn {
        fence: 7,
        environment: 3,
        additions: entries.view(),
        directory: entries.view(),
        words: words.view(),
        time_limit_us: Some(0),
        grace_us: 10_000_000,
        output_max: 64 << 20,
        exclusive: true,
        cpu_millis: 250,
    };
    let mut requests = RequestBatch::default();
    requests.push(&Request::Hello { on_close: OnClose::Kill, cpu_millis: 2_000, mark: b"mark" });
    requests.push(&Request::Environment { number: 3, over: Some(1), entries: entries.view() });
    requests.push(&Request::Spawn(spawn));
    requests.push(&Request::Stop { fence: 7, grace_us: 1 });
    requests.push(&Request::List);
    let exited =
        Exited { fence: 9, exit: Exit::Code(255), cause: Cause::Itself, took_us: 12, dropped: 1 };
    let mut events = EventBatch::default();
    events.push(&Event::Welcome { pid: 77 });
    events.push(&Event::Started(Started { fence: 9, pid: 1, wall_us: -5, boot_us: 6 }));
    events.push(&Event::Output { fence: 9, stream: Stream::Stderr, bytes: b"\0\xff\n" });
    events.push(&Event::Exited(exited));
    events.push(&Event::NotStarted { fence: 9, step: StartStep::Program, errno: 2 });
    let began = Some(Started { fence: 2, pid: 0, wall_us: 1, boot_us: 2 });
    events.push(&Event::Held(vec![
        Held { fence: 1, began: None, cause: Cause::Itself },
        Held { fence: 2, began, cause: Cause::Itself },
    ]));
    vec![requests.bytes().to_vec(), events.bytes().to_vec()]
}

pub fn check(bytes: &[u8]) {
    let Ok((mut daemon, supervisor)) = UnixStream::pair() else { return };
    let bytes = &bytes[..bytes.len().min(STREAM_BYTES_MAX)];
    if daemon.write_all(bytes).and_then(|()| daemon.shutdown(Shutdown::Both)).is_err() {
        return;
    }
    let (mut frames, mut taken) = (Frames::default(), 0);
    loop {
        let read = frames.read_from(&supervisor);
        while let Ok(Some(body)) = frames.next_body() {
            let frame = [&(body.len() as u32).to_le_bytes()[..], body].concat();
            assert_eq!(frame, bytes[taken..taken + frame.len()], "not what was sent");
            taken += frame.len();
            check_body(body);
        }
        if !matches!(read, Ok(1..)) {
            break;
        }
    }
}

fn check_body(body: &[u8]) {
    if let Ok(request) = Request::read(body) {
        let mut batch = RequestBatch::default();
        batch.push(&request);
        assert_eq!(&batch.bytes()[4..], body, "{request:?}");
    }
    if let Ok(event) = Event::read(body) {
        let mut batch = EventBatch::default();
        batch.push(&event);
        assert!(batch.is_empty() || &batch.bytes()[4..] == body, "{event:?}");
    }
}
