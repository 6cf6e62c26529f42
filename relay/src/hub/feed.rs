//! What the store has to say to the room.

use std::time::Duration;

use futures_util::future::BoxFuture;
use neartalk_shared::{ApiError, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Input, request, shutting_down};
use crate::{
    moderation::bans::{Ban, BannedBy},
    room::Room,
    socket::SocketLink,
    store::{
        News,
        region::Region,
        wire::{NodeId, Reply, Request, SessionKey, Stamp},
    },
};

/// A handle for the store, which does not keep the hub alive.
#[derive(Clone, Debug)]
pub struct Feed {
    pub(super) inputs: mpsc::WeakSender<Input>,
}

impl Feed {
    /// Tells the room.
    pub async fn hear(&self, news: News) {
        if let Some(inputs) = self.inputs.upgrade() {
            // It fails only when there is no room any more.
            let _ = inputs.send(Input::News(Box::new(news))).await;
        }
    }

    /// See `Room::own_sessions`.
    pub async fn own_sessions(&self) -> Vec<(SessionKey, Stamp)> {
        self.request(Input::OwnSessions).await.unwrap_or_default()
    }

    /// See `Room::republish`. What there is to tell is on its way to the store when this returns.
    pub async fn republish(&self, known: Vec<Region>) -> Vec<Region> {
        let regions = self.request(|reply| Input::Republish(known, reply));
        regions.await.unwrap_or_default()
    }

    /// Does what another relay asks for. `attend` is as `Storage::attend`.
    pub async fn answer(
        &self,
        from: NodeId,
        key: SessionKey,
        request: Request,
        attend: impl FnOnce(Vec<Region>) -> BoxFuture<'static, ()> + Send,
    ) -> Reply {
        if matches!(request, Request::Release) {
            let released = self.request(|reply| Input::Release(key, from, reply));
            return match released.await.flatten() {
                Some(record) => Reply::Released(Box::new(record)),
                None => Reply::NotHere,
            };
        }
        let id = self
            .request(|reply| Input::IdOf(key, reply))
            .await
            .flatten();
        let Some(id) = id else {
            return Reply::NotHere;
        };
        match request {
            Request::Release => Reply::NotHere,
            Request::Rename { username } => {
                Reply::Renamed(self.ask(|reply| Input::Rename(id, username, reply)).await)
            }
            Request::Nearby => Reply::Nearby(self.ask(|reply| Input::Nearby(id, reply)).await),
            Request::Locate { locate } => Reply::Located(
                match self
                    .ask(|reply| Input::JudgeLocation(id, locate, reply))
                    .await
                {
                    Ok(spot) => {
                        attend(Region::around(&spot)).await;
                        self.ask(|reply| Input::SettleLocation(id, spot, reply))
                            .await
                    }
                    Err(error) => Err(error),
                },
            ),
        }
    }

    /// Bans somebody, if they are here; see `Room::ban_peer`.
    pub async fn ban(&self, peer_id: PeerId, time: Duration) -> Option<Ban> {
        let ban = move |room: &mut Room<SocketLink>, now| {
            room.ban_peer(&peer_id, BannedBy::Operator, time, now)
        };
        self.request(|reply| {
            Input::Task(Box::new(move |room, now| drop(reply.send(ban(room, now)))))
        })
        .await
        .flatten()
    }

    async fn ask<T>(&self, input: impl FnOnce(Answer<T>) -> Input) -> Result<T, ApiError> {
        self.request(input)
            .await
            .unwrap_or_else(|| Err(shutting_down()))
    }

    async fn request<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        request(&self.inputs.upgrade()?, input).await
    }
}
