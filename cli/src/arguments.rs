//! tmp
#[derive(Debug)]
pub struct BenchArguments {}
