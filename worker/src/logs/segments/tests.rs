//! Segments written by many attempts at once, read back whole, live, in part, and damaged.

use super::*;
use crate::logs::read;
use crate::testing::Directory;

/// Bytes of each stream, as an attempt wrote them.
type Written = [Vec<u8>; 2];

fn collect(pieces: &[(Stream, Vec<u8>)]) -> Written {
    let mut written = Written::default();
    for (stream, bytes) in pieces {
        written[*stream as usize].extend_from_slice(bytes);
    }
    written
}

fn stored(directory: &Path, fence: Fence, place: &LogPlace) -> Result<Written, LogError> {
    let mut written = Written::default();
    read::read(directory, fence, place, &mut |stream, bytes| {
        written[stream as usize].extend_from_slice(bytes);
    })?;
    Ok(written)
}

/// Twenty attempts write in turn, in pieces of any size.
fn write_many(segments: &Segments) -> Vec<(Fence, Written, LogPlace)> {
    let mut seed = 5_u64;
    let mut random = move |bound: u64| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) % bound
    };
    let mut written: HashMap<u64, Written> = HashMap::new();
    let mut done = Vec::new();
    for fence in 1..=20 {
        segments.begin(Fence(fence));
        written.insert(fence, Written::default());
    }
    for step in 0..3_000 {
        let fence = 1 + random(20);
        let Some(own) = written.get_mut(&fence) else { continue };
        let stream = if random(3) == 0 { Stream::Stderr } else { Stream::Stdout };
        let bytes = vec![step as u8; random(9_000) as usize];
        segments.append(Fence(fence), stream, &bytes);
        own[stream as usize].extend_from_slice(&bytes);
        if random(300) == 0 {
            let place = segments.finish(Fence(fence), 0, false).place.unwrap();
            done.push((Fence(fence), written.remove(&fence).unwrap(), place));
        }
        if random(50) == 0 {
            segments.write();
        }
        if let Some(own) = written.get(&fence) {
            let live = segments.read_live(Fence(fence), 0, usize::MAX).unwrap().unwrap();
            assert_eq!(&collect(&live.pieces), own);
        }
    }
    segments.checkpoint();
    for (fence, own) in written {
        let place = segments.finish(Fence(fence), 0, false).place.unwrap();
        done.push((Fence(fence), own, place));
    }
    segments.write();
    done
}

#[test]
fn each_attempt_reads_what_it_wrote_among_others() {
    let directory = Directory::new();
    let segments = Segments::open(directory.path()).unwrap();
    for (fence, written, place) in write_many(&segments) {
        assert_eq!(stored(directory.path(), fence, &place).unwrap(), written, "{fence}");
        let mut found = Written::default();
        read::search(directory.path(), fence, &mut |stream, bytes| {
            found[stream as usize].extend_from_slice(bytes);
        })
        .unwrap();
        assert_eq!(found, written, "{fence}");
        let located = read::locate(directory.path(), fence).unwrap();
        assert_eq!(located, Some(place), "{fence}");
    }
    assert_eq!(read::locate(directory.path(), Fence(99)).unwrap(), None);
}

#[test]
fn a_small_attempt_is_one_chunk_and_a_silent_one_is_nothing() {
    let directory = Directory::new();
    let segments = Segments::open(directory.path()).unwrap();
    segments.begin(Fence(1));
    segments.begin(Fence(2));
    segments.append(Fence(1), Stream::Stdout, b"hello\n");
    assert_eq!(segments.finish(Fence(2), 0, true).place, None);
    let finished = segments.finish(Fence(1), 3, true);
    assert_eq!(finished.last_lines, "hello");
    let place = finished.place.unwrap();
    assert_eq!((place.segment, place.offset, place.dropped), (1, 0, 3));
    assert_eq!(segments.finish(Fence(1), 0, true).place, None, "ended is ended");
    segments.write();
    let length = fs::metadata(segment_path(directory.path(), 1)).unwrap().len();
    assert_eq!(length, place.length);
    // Another worker in the same directory begins a segment of its own.
    let next = Segments::open(directory.path()).unwrap();
    next.begin(Fence(3));
    next.append(Fence(3), Stream::Stderr, b"x");
    assert_eq!(next.finish(Fence(3), 0, false).place.unwrap().segment, 2);
}

#[test]
fn a_follower_sees_each_byte_once_and_hears_the_end() {
    let directory = Directory::new();
    let segments = Segments::open(directory.path()).unwrap();
    segments.begin(Fence(1));
    let (mut from, mut seen) = (0, Vec::new());
    let mut written = Vec::new();
    for step in 0..200_u32 {
        let bytes = step.to_string().repeat(400);
        segments.append(Fence(1), Stream::Stdout, bytes.as_bytes());
        written.extend_from_slice(bytes.as_bytes());
        if step % 7 == 0 {
            let live = segments.read_live(Fence(1), from, 4_096).unwrap().unwrap();
            assert!(live.next > from);
            seen.extend(live.pieces.into_iter().flat_map(|(_, bytes)| bytes));
            from = live.next;
        }
    }
    loop {
        let live = segments.read_live(Fence(1), from, 4_096).unwrap().unwrap();
        if live.pieces.is_empty() {
            break;
        }
        seen.extend(live.pieces.into_iter().flat_map(|(_, bytes)| bytes));
        from = live.next;
    }
    assert!(seen == written, "{} of {} bytes", seen.len(), written.len());
    segments.finish(Fence(1), 0, false);
    assert_eq!(segments.read_live(Fence(1), from, 1).unwrap(), None);
}

#[test]
fn the_last_lines_of_a_long_log_reach_back_over_its_last_chunk() {
    let directory = Directory::new();
    let segments = Segments::open(directory.path()).unwrap();
    segments.begin(Fence(1));
    let lines: Vec<String> = (0..20_000).map(|number| format!("line {number}\n")).collect();
    lines.iter().for_each(|line| segments.append(Fence(1), Stream::Stdout, line.as_bytes()));
    let last = segments.finish(Fence(1), 0, true).last_lines;
    assert_eq!(last, lines[19_980..].concat().trim_end());
}

#[test]
fn damage_is_an_error_and_a_torn_end_is_not_served() {
    let directory = Directory::new();
    let segments = Segments::open(directory.path()).unwrap();
    let done = write_many(&segments);
    let path = segment_path(directory.path(), 1);
    let whole = fs::read(&path).unwrap();
    let (fence, written, place) = &done[0];
    let mut damaged = whole.clone();
    damaged[place.offset as usize + 40] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(matches!(stored(directory.path(), *fence, place), Err(LogError::Damaged(_))));
    fs::write(&path, &whole[..(place.offset + place.length) as usize - 1]).unwrap();
    assert!(matches!(stored(directory.path(), *fence, place), Err(LogError::Damaged(_))));
    let mut found = 0;
    read::search(directory.path(), *fence, &mut |_, bytes| found += bytes.len()).unwrap();
    assert!(found < written.concat().len());
    fs::remove_file(&path).unwrap();
    assert!(matches!(stored(directory.path(), *fence, place), Err(LogError::Gone(1))));
}
