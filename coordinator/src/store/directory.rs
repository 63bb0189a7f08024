//! The directory of a store, whose names are durable only once it is synced itself.

use std::fs::File;
use std::path::Path;

use super::error::StoreError;

pub(super) fn sync(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::io("fsync", directory))
}
