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
    let error = stored(directory.path(), *fence, place).err().unwrap();
    assert!(matches!(error, LogError::Damaged(1, _)));
    assert_eq!(error.place(directory.path()), path);
    fs::write(&path, &whole[..(place.offset + place.length) as usize - 1]).unwrap();
    assert!(matches!(stored(directory.path(), *fence, place), Err(LogError::Damaged(1, _))));
    let mut found = 0;
    read::search(directory.path(), *fence, &mut |_, bytes| found += bytes.len()).unwrap();
    assert!(found < written.concat().len());
    fs::remove_file(&path).unwrap();
    assert!(matches!(stored(directory.path(), *fence, place), Err(LogError::Gone(1))));
}

/// Of every bit and at every length: what is read back is what was written, or an error. A cut is
/// a torn end to whoever looks for what an interrupted attempt wrote; damage is none.
#[test]
fn every_flipped_bit_and_every_cut_is_told() {
    let directory = Directory::new();
    let segments = Segments::open(directory.path()).unwrap();
    let texts: [&[u8]; 3] = [b"one\n", b"DGM1 is how a chunk begins\n", b"three\n"];
    let mut places = Vec::new();
    for (fence, text) in (1..).map(Fence).zip(texts) {
        segments.begin(fence);
        segments.append(fence, Stream::Stdout, text);
        places.push((fence, text, segments.finish(fence, 0, false).place.unwrap()));
    }
    segments.write();
    let path = segment_path(directory.path(), 1);
    let whole = fs::read(&path).unwrap();
    let searched = |fence: Fence| {
        let mut found = Vec::new();
        let took = &mut |_, bytes: &[u8]| found.extend_from_slice(bytes);
        read::search(directory.path(), fence, took).map(|()| found)
    };
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).unwrap();
        for (fence, text, place) in &places {
            let own = place.offset..place.offset + place.length;
            match stored(directory.path(), *fence, place) {
                Ok(written) => assert_eq!(written[Stream::Stdout as usize], *text, "bit {bit}"),
                Err(error) => {
                    assert!(own.contains(&(bit as u64 / 8)), "bit {bit}: {error}");
                }
            }
            assert!(searched(*fence).is_err(), "bit {bit} passes for a torn end");
        }
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        for (fence, text, place) in &places {
            let is_there = place.offset + place.length <= length as u64;
            match stored(directory.path(), *fence, place) {
                Ok(written) => {
                    assert!(is_there, "cut at {length}: {fence} is told as whole");
                    assert_eq!(written[Stream::Stdout as usize], *text, "cut at {length}");
                }
                Err(error) => assert!(!is_there, "cut at {length}: {error}"),
            }
            let expected = if is_there { *text } else { b"" };
            assert_eq!(searched(*fence).unwrap(), expected, "cut at {length}");
        }
    }
}
