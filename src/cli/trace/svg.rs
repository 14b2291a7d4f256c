//! A trace as a picture for documents: SVG that stands alone.

use super::Zone;
use crate::view::Trace;

/// The whole picture. It runs no script and asks for nothing from elsewhere.
pub fn draw(trace: &Trace, zone: &Zone) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\"><title>{} {}</title></svg>\n",
        trace.id,
        zone.whole(crate::clock::Timestamp::from_unix_nanos(0))
    )
}
