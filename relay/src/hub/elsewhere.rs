//! Sessions that are on other relays: how a client's requests find them.

use std::time::Duration;

use neartalk_shared::{ApiError, ErrorCode, SessionId, Spot, frame::Locate, http::LocationUpdated};
use tokio::time::sleep;

use super::{Hub, Input};
use crate::store::{
    Whereabouts,
    region::Region,
    wire::{NodeId, Reply, Request, SessionKey, SessionRecord},
};

/// How long a session may be on its way from one relay to another …
const HANDOVER_TIME: Duration = Duration::from_millis(100);
/// … and how often it is looked for meanwhile.
const HANDOVERS: u32 = 5;

impl Hub {
    pub(super) async fn update_location_here(
        &self,
        id: SessionId,
        locate: Locate,
    ) -> Result<LocationUpdated, ApiError> {
        let spot = self
            .ask(|reply| Input::JudgeLocation(id, locate, reply))
            .await?;
        self.attend(&spot).await;
        self.ask(|reply| Input::SettleLocation(id, spot, reply))
            .await
    }

    /// Makes sure that the room knows what is around `spot`, whichever relay it is on.
    pub(super) async fn attend(&self, spot: &Spot) {
        if self.storage.node().is_some() {
            self.storage.attend(Region::around(spot)).await;
        }
    }

    /// Brings a session here, if there is one anywhere.
    pub(super) async fn fetch(&self, id: &SessionId) -> Result<(), ApiError> {
        let Some(own) = self.storage.node() else {
            return Ok(());
        };
        if self.knows(id).await {
            return Ok(());
        }
        match self.storage.find(SessionKey::of(id)).await {
            Whereabouts::At(node, record) if node != own => {
                self.take_over(id, node, record).await;
                Ok(())
            }
            // What has been here and is not known here has ended.
            Whereabouts::At(..) | Whereabouts::Nowhere => Ok(()),
            Whereabouts::Unknown => Err(out_of_reach()),
        }
    }

    /// What another relay answers to a request about a session that is there; `None` when the
    /// session is here or nowhere.
    pub(super) async fn elsewhere(
        &self,
        id: &SessionId,
        request: Request,
    ) -> Result<Option<Reply>, ApiError> {
        let Some(own) = self.storage.node() else {
            return Ok(None);
        };
        if self.knows(id).await {
            return Ok(None);
        }
        let key = SessionKey::of(id);
        match self.storage.find(key).await {
            Whereabouts::At(node, record) if node != own => {
                match self.storage.ask(node, key, request).await {
                    Some(Reply::NotHere) | None => {
                        self.take_over(id, node, record).await;
                        Ok(None)
                    }
                    reply => Ok(reply),
                }
            }
            Whereabouts::At(..) | Whereabouts::Nowhere => Ok(None),
            Whereabouts::Unknown => Err(out_of_reach()),
        }
    }

    /// Takes a session over from another relay: as that one hands it over or, if it does not
    /// answer, as the store has it.
    async fn take_over(&self, id: &SessionId, mut node: NodeId, mut record: Box<SessionRecord>) {
        let key = SessionKey::of(id);
        for _ in 0..HANDOVERS {
            match self.storage.ask(node, key, Request::Release).await {
                Some(Reply::Released(newer)) => {
                    record = newer;
                    break;
                }
                // It is on its way from there to a third relay.
                Some(Reply::NotHere) => {
                    sleep(HANDOVER_TIME).await;
                    match self.storage.find(key).await {
                        Whereabouts::At(now_at, newer) if Some(now_at) != self.storage.node() => {
                            (node, record) = (now_at, newer);
                        }
                        Whereabouts::At(..) | Whereabouts::Nowhere => return,
                        Whereabouts::Unknown => break,
                    }
                }
                _ => break,
            }
        }
        if let Some(place) = &record.place {
            self.attend(&place.spot).await;
        }
        self.request(|reply| Input::Adopt(*id, record, reply)).await;
    }

    async fn knows(&self, id: &SessionId) -> bool {
        let knows = self.request(|reply| Input::Knows(*id, reply));
        knows.await.unwrap_or(false)
    }
}

pub(super) fn out_of_reach() -> ApiError {
    ApiError::new(
        ErrorCode::Unavailable,
        "This relay can't reach what it shares with others; try again in a moment.",
    )
}
