//! Graphs: what is read is canonical, and it does not matter in which pieces it came.

use dagmar_common::graph::{Assembly, decode, encode};

pub fn seeds() -> Vec<Vec<u8>> {
    super::pipeline::graphs().iter().map(encode).collect()
}

pub fn check(bytes: &[u8]) {
    let whole = decode(bytes);
    if let Ok(graph) = &whole {
        assert_eq!(encode(graph), bytes, "read, and written otherwise");
    }
    let cut = bytes.len() / 2;
    let mut assembly = Assembly::default();
    let pieces = [&bytes[..cut], &bytes[cut..]];
    let pushed = pieces.into_iter().try_for_each(|piece| assembly.push(piece));
    let pieces = pushed.and_then(|()| {
        while assembly.work(1)? == 0 {}
        assembly.finish()
    });
    assert_eq!(pieces.is_ok(), whole.is_ok(), "{:?}, in pieces {:?}", whole.err(), pieces.err());
}
