//! Archives: manifests and segments that are read are written back, and no entry grows for ever.

use dagmar_common::envelope::{HEAD_BYTES, Kind, seal};
use dagmar_common::ids::Digest;
use dagmar_common::limits::ALIKE_ITEMS_MAX;
use dagmar_common::record::segment::{
    SegmentName, SegmentWriter, Unreadable, open_manifest, read_segment, seal_manifest,
};
use dagmar_common::record::{Entry, spread};

const MANIFEST: &[u8] = include_bytes!("../../../common/src/record/segment/golden/manifest-v1.bin");
const SEGMENT: &[u8] = include_bytes!("../../../common/src/record/segment/golden/segment-v1.bin");

/// Bodies, without their envelope.
pub fn seeds() -> Vec<Vec<u8>> {
    [MANIFEST, SEGMENT].map(|sealed| sealed[HEAD_BYTES..].to_vec()).into()
}

/// What a valid archive holds.
pub fn story() -> Vec<Entry> {
    read(SEGMENT).expect("older ones are read")
}

pub fn check(bytes: &[u8]) {
    if let Ok(manifest) = open_manifest(&seal(Kind::Manifest, 1, bytes)) {
        let sealed = seal_manifest(&manifest).expect("what was read is written");
        assert_eq!(open_manifest(&sealed), Ok(manifest));
    }
    let Ok(entries) = read(&seal(Kind::Segment, 1, bytes)) else { return };
    let mut writer = SegmentWriter::default();
    for entry in &entries {
        assert_eq!(writer.push(entry), Ok(None), "one segment was read, and two are written");
    }
    let again = writer.finish().map_or(Ok(Vec::new()), |(_, bytes)| read(&bytes));
    assert_eq!(again.as_ref(), Ok(&entries));
    for entry in entries {
        let inner = if let Entry::Alike(alike) = &entry { alike.nodes.len() + 1 } else { 1 };
        let mut told = 0;
        let spread = spread(entry, &mut |_| {
            told += 1;
            Ok::<(), Unreadable>(())
        });
        assert_eq!(spread, Ok(()));
        assert!(told <= inner * ALIKE_ITEMS_MAX as usize, "one entry stands for {told}");
    }
}

fn read(sealed: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    let (digest, length) = (Digest::of(sealed), sealed.len() as u64);
    let mut entries = Vec::new();
    let name = SegmentName { digest, bytes: length, entries: 0 };
    read_segment(&name, sealed, &mut |entry| {
        entries.push(entry);
        Ok::<(), Unreadable>(())
    })?;
    Ok(entries)
}
