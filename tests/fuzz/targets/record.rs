//! A worker's records: whatever can be read can be read at every cut, and says no more for it.

use dagmar_common::envelope::{Kind, seal_into};
use dagmar_worker::records::Left;

const BOOT: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// Bodies as version 1 has them, one byte of length before each.
pub fn seeds() -> Vec<Vec<u8>> {
    let fence = 7_u64.to_le_bytes();
    let opened = [b"\x01", BOOT.as_bytes(), BOOT.as_bytes()].concat();
    let began = [&[3], &fence[..], &[9, 0, 0, 0], &fence[..]].concat();
    let bodies = [opened, [&[2], &fence[..]].concat(), began, [&[4], &fence[..]].concat()];
    let each = bodies.iter().map(|body| [&[body.len() as u8], &body[..]].concat());
    vec![each.collect::<Vec<_>>().concat()]
}

pub fn check(bytes: &[u8]) {
    let _ = Left::replay(bytes, BOOT);
    let (mut sealed, mut rest) = (Vec::new(), bytes);
    let mut ends = vec![0];
    while let Some((length, behind)) = rest.split_first() {
        let (body, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        seal_into(Kind::WorkerRecord, 1, body, &mut sealed);
        ends.push(sealed.len());
        rest = behind;
    }
    let Ok(whole) = Left::replay(&sealed, BOOT) else { return };
    assert!(whole.open.len() < ends.len());
    for end in ends.windows(2).rev().take(4) {
        let before = Left::replay(&sealed[..end[0]], BOOT).expect("less of what can be read");
        for cut in end[0]..end[1] {
            let cut = Left::replay(&sealed[..cut], BOOT).expect("a torn end is no damage");
            assert_eq!(cut, before);
        }
    }
}
