//! Which frames tell who is around. The room's own tests use this file as well.

use neartalk_shared::ServerFrame;

/// Whether a frame tells of somebody's coming, going or changing.
pub fn is_presence(frame: &ServerFrame) -> bool {
    matches!(
        frame,
        ServerFrame::PersonEntered { .. }
            | ServerFrame::PersonChanged { .. }
            | ServerFrame::PersonLeft { .. }
            | ServerFrame::Nearby { .. }
    )
}
