//! What tests of the services put in the place of their surroundings.

use dagmar_common::ids::Fence;
use dagmar_common::lease::LogPlace;
use dagmar_common::problem::Problem;
use dagmar_common::record::follow::Stream;

use super::{Live, Logs};

/// Nothing was ever written.
pub(super) struct NoLogs;

impl Logs for NoLogs {
    fn read(&self, _: &LogPlace, _: &mut dyn FnMut(Stream, &[u8]) -> bool) -> Result<(), Problem> {
        Ok(())
    }

    fn live(&self, _: Fence, _: u64) -> Result<Option<Live>, Problem> {
        Ok(None)
    }
}
