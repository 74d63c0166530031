//! Pictures: at the addresses that clients were told, and the latest of a camera at the admin listener.

use std::{rc::Rc, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    sync::MutexGuard,
    time::{sleep, timeout},
};
use tracing::Instrument;

use super::{
    http::{Reply, Request},
    pictures::{Picture, Wanted},
    pipeline::{Answer, File, Kind, ReplyHeaders, Work},
    trouble::Trouble,
    virtual_camera::VirtualCamera,
};
use crate::{
    camera::{CameraError, Failure, Phase},
    command::{Command, HttpTransfer, Operation, Reason},
    facade::{Asked, Entrance, LocatorKind, Media, picture_address, profiles},
    gate::Pass,
    hatch::{AskKind, Endpoint, Reply as Heard},
    ids::RequestId,
    limits::{
        CAMERA_EXCHANGE_TIME_MAX, CAMERA_INTRODUCTION_TIME_MAX, LATEST_PICTURE_AGE_MAX, PICTURE_AGE_MAX,
    },
    schema::{AccessClass, Traits},
    soap::Version,
};

/// What all of them are decided as.
const SNAPSHOT: Operation = Operation::Http(HttpTransfer::Snapshot);

impl VirtualCamera {
    /// A picture at an address that a client was told.
    pub(super) async fn snapshot(self: &Rc<Self>, id: RequestId, request: Request, token: &str) -> Reply {
        let found = self.behind(id, &request, &SNAPSHOT.name(), LocatorKind::Snapshot, token).await;
        let (identified, locator) = match found {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let command = self.picture_command(id, json!({ "profile": locator.profile }));
        let kind = Kind::Picture { endpoint: locator.endpoint };
        let headers = ReplyHeaders::of_file(&request, File::Picture);
        self.run(Work { command, identified, headers, kind }).await
    }

    /// The camera's latest picture, for a client at the admin listener: there as here everybody logs in.
    pub(super) async fn latest_snapshot(self: &Rc<Self>, request: Request) -> Reply {
        let id = self.house.request_id();
        let span =
            tracing::info_span!("request", request = %id, camera = %self.camera.id, source = %request.source);
        async {
            let identified = match self.identify(&request, None) {
                Ok(identified) => identified,
                Err(error) => {
                    let asked = (Version::default(), false);
                    return self.not_recognised(id, &request, &SNAPSHOT.name(), asked, &error).await;
                }
            };
            let command = self.picture_command(id, json!({ "at": "the admin listener" }));
            let headers = ReplyHeaders::of_file(&request, File::Picture);
            self.run(Work { command, identified, headers, kind: Kind::LatestPicture }).await
        }
        .instrument(span)
        .await
    }

    fn picture_command(&self, request: RequestId, arguments: Value) -> Command {
        Command {
            request,
            camera: Some(self.camera.id.clone()),
            operation: SNAPSHOT,
            class: AccessClass::ReadMedia,
            traits: Traits::NONE,
            destinations: Vec::new(),
            arguments,
        }
    }

    /// The picture of the last moment, or one of the camera's.
    pub(super) async fn picture(&self, pass: &mut Pass, endpoint: Endpoint) -> Result<Answer, Trouble> {
        let _turn = self.picture_turn().await?;
        let now = self.house.clock.monotonic();
        let (picture, kept) = match self.pictures.find(&endpoint, PICTURE_AGE_MAX, now) {
            Some(picture) => (picture, true),
            None => (self.take_picture(pass, endpoint).await?, false),
        };
        Ok(Answer::Picture { jpeg: picture.jpeg, kept, came: None })
    }

    /// The latest picture that there is, or one of the camera's.
    pub(super) async fn latest_picture(&self, pass: &mut Pass) -> Result<Answer, Trouble> {
        let _turn = self.picture_turn().await?;
        let clock = &self.house.clock;
        let found = |place: Endpoint| self.pictures.find(&place, LATEST_PICTURE_AGE_MAX, clock.monotonic());
        let (picture, kept) = match self.pictures.place().and_then(found) {
            Some(picture) => (picture, true),
            None => {
                let now = clock.monotonic();
                if let Some(trouble) = self.pictures.refused(&Wanted::Latest, now) {
                    return Err(trouble);
                }
                if self.pictures.gave_lately(now) {
                    return Err(Trouble::NotKept);
                }
                let taken = self.take_latest(pass).await;
                self.pictures.ended(&Wanted::Latest, taken.as_ref().err(), clock.monotonic());
                (taken?, false)
            }
        };
        let age = clock.monotonic().saturating_sub(picture.at);
        Ok(Answer::Picture { jpeg: picture.jpeg, kept, came: Some((picture.came, age)) })
    }

    async fn picture_turn(&self) -> Result<MutexGuard<'_, ()>, Trouble> {
        timeout(CAMERA_EXCHANGE_TIME_MAX, self.pictures.turn()).await.map_err(|_| Trouble::Busy)
    }

    /// Within `CAMERA_INTRODUCTION_TIME_MAX` in all: others wait for the turn, and whoever looks for the picture.
    async fn take_latest(&self, pass: &mut Pass) -> Result<Picture, Trouble> {
        let clock = &self.house.clock;
        let began = clock.monotonic();
        if self.pictures.place().is_none() {
            // It has the same deadline, and ends by itself: if it is given up, that is remembered of the camera.
            self.introduce().await?;
        }
        let left = CAMERA_INTRODUCTION_TIME_MAX.saturating_sub(clock.monotonic().saturating_sub(began));
        let late = CameraError { failure: Failure::TimedOut(Phase::Answer), sent: true };
        timeout(left, self.take_from_place(pass)).await.unwrap_or(Err(Trouble::Camera(late)))
    }

    async fn take_from_place(&self, pass: &mut Pass) -> Result<Picture, Trouble> {
        let place = match self.pictures.place() {
            Some(place) => place,
            None => self.learn_place().await?,
        };
        let taken = self.take_picture(pass, place).await;
        match &taken {
            Ok(picture) => self.pictures.gave_latest(picture.at),
            // It may have it somewhere else by now; one that is away, or was not asked, has not said so.
            Err(trouble) if trouble.is_of_camera() && !trouble.is_silence() => self.pictures.lies(None),
            Err(_) => {}
        }
        taken
    }

    /// Asks the camera for a picture, unless it did not give it a moment ago.
    async fn take_picture(&self, pass: &mut Pass, endpoint: Endpoint) -> Result<Picture, Trouble> {
        let (clock, wanted) = (&self.house.clock, Wanted::At(endpoint.clone()));
        if let Some(trouble) = self.pictures.refused(&wanted, clock.monotonic()) {
            return Err(trouble);
        }
        let heard = self.ask(pass, AskKind::Picture { endpoint: endpoint.clone() }, true, true).await;
        let at = clock.monotonic();
        let taken = heard.and_then(|heard| match heard {
            Heard::Picture(jpeg) => Ok(Picture { jpeg, came: clock.now(), at }),
            Heard::Document(..) | Heard::Fault(_) | Heard::Poured | Heard::Taken(_) => {
                Err(Trouble::NoEndpoint)
            }
        });
        self.pictures.ended(&wanted, taken.as_ref().err(), at);
        let picture = taken?;
        self.pictures.keep(endpoint, picture.clone(), &self.house.album);
        let (pictures, clock) = (Rc::clone(&self.pictures), Arc::clone(clock));
        tokio::task::spawn_local(async move {
            sleep(LATEST_PICTURE_AGE_MAX).await;
            pictures.forget(clock.monotonic());
        });
        Ok(picture)
    }

    /// Has the camera, which is introduced, say where its picture is. Nobody is told of the place.
    async fn learn_place(&self) -> Result<Endpoint, Trouble> {
        let mut found = Err(Trouble::NoEndpoint);
        for media in Media::BOTH {
            match self.place_by(media).await {
                Err(Trouble::NoEndpoint) => {}
                Err(trouble) if !trouble.is_silence() => found = Err(trouble),
                ended => {
                    found = ended;
                    break;
                }
            }
        }
        let place = found?;
        self.pictures.lies(Some(place.clone()));
        Ok(place)
    }

    /// Where a media service has the picture of the first profile that it names.
    async fn place_by(&self, media: Media) -> Result<Endpoint, Trouble> {
        let tables = &self.house.tables;
        let request = profiles(tables, media)?;
        // What it does not offer it is not asked, and nothing is decided.
        self.facade.endpoint(request.operation).ok_or(Trouble::NoEndpoint)?;
        let (answer, _) = self.own_command(Reason::LocatorRecovery, request).await?;
        let profile = answer.root().children().find_map(|it| it.attribute("token"));
        let request = picture_address(tables, media, profile.ok_or(Trouble::NoEndpoint)?)?;
        let (operation, asked) = (request.operation, request.document.clone());
        let (answer, _) = self.own_command(Reason::LocatorRecovery, request).await?;
        let asked = Asked { request: &asked, entrance: Entrance::Plain };
        let (_, named) = self.facade.rewrite_answer(operation, asked, &answer)?;
        named.into_iter().next().map(|it| it.locator.endpoint).ok_or(Trouble::NoEndpoint)
    }
}
