//! The cameras of the running gateway, for its admin listener.

use std::sync::{Arc, Mutex};

use http::StatusCode;

use super::{candidates, pins};
use crate::{
    admin::{Answering, CameraRow, CameraView, CandidateRow, EventsView, Fleet, Held},
    alarm::Alarm,
    command::{Command, Operation},
    ids::{CameraId, RequestId},
    inventory::{Camera, EventsWay, KnownQuirks},
    listener::{
        House,
        diagnosis::{Diagnosis, Layer, Standing, Surroundings, diagnose},
        http::{Reply, Request},
    },
    schema::{AccessClass, Operation as Row},
    store::Store,
};

/// Reads what the cameras' threads wrote down.
pub(super) struct HouseFleet {
    house: Arc<House>,
    store: Arc<Mutex<Store>>,
    known: KnownQuirks,
}

impl HouseFleet {
    pub(super) fn new(house: Arc<House>, store: Arc<Mutex<Store>>, known: KnownQuirks) -> Self {
        Self { house, store, known }
    }

    fn why(&self, camera: &Camera, any_client: bool) -> Diagnosis {
        if let Some(barred) = self.barred(camera) {
            return barred;
        }
        let log_failure = self.house.gate.log().health().failure;
        let edition = self.house.edition.load();
        let is_near = super::zones::near(&edition.rules, camera);
        let around = Surroundings {
            log_failure: log_failure.as_deref(),
            any_client,
            held_to: edition.rules.regards().hardware(camera).filter(|_| is_near),
            now: self.house.clock.now(),
        };
        diagnose(&self.house.standings.read(&camera.id), around)
    }

    /// Why nobody is served, whatever policies say.
    fn barred(&self, camera: &Camera) -> Option<Diagnosis> {
        let edition = self.house.edition.load();
        let rules = &edition.rules;
        // The gate asks this first.
        if let Some(trouble) = self.house.gate.shut_out(rules, camera) {
            let zone = &camera.zone;
            return Some(Layer::Isolation.because(format!(
                "it is restricted, and the isolation of its zone `{zone}` is not in force: {trouble}"
            )));
        }
        let told = |sentence: String, remedy: &str| {
            Some(Diagnosis { layer: Layer::Policy, sentence, remedy: remedy.to_owned() })
        };
        if let Some(quarantine) = &rules.regards().of(&camera.id).quarantine {
            let sentence = format!("it is in quarantine, another device may be there: {}", quarantine.why);
            return told(sentence, Alarm::CameraQuarantined.entry().remedy);
        }
        if rules.lacks_exception(camera) {
            let sentence =
                format!("it is restricted, and the sensitive site `{}` has no exception for it", camera.site);
            return told(sentence, Alarm::SiteRestricted.entry().remedy);
        }
        None
    }

    /// How the camera's events are had.
    fn events(&self, camera: &Camera, standing: &Standing) -> EventsView {
        let hub = self.house.hubs.of(&camera.id, &self.house.clock);
        let (counts, wanted) = (hub.counts(), *hub.wanted().borrow());
        let subscribes = |it: &Row| {
            matches!(
                (&*it.service, &*it.name),
                ("events", "CreatePullPointSubscription") | ("events-wsn", "Subscribe")
            )
        };
        let nobody = if camera.events == EventsWay::Off {
            Some("the configuration has them off (`events = \"off\"`)")
        } else if !standing.services.is_empty() && !standing.services.iter().any(|it| it == "events") {
            Some("the camera names no event service")
        } else if wanted == 0 && !self.any_client(camera, &subscribes) {
            Some("no policy permits any client to subscribe, and no broker wants them")
        } else {
            None
        };
        EventsView {
            subscribed: standing.subscribed.map(|(way, _)| way.as_str().to_owned()),
            since: standing.subscribed.map(|(_, since)| since),
            wanted,
            told: counts.told,
            twice: counts.duplicates,
            over_rate: counts.over_rate,
            nobody: nobody.map(str::to_owned),
        }
    }

    /// Whether policy permits any client any of some operations, beyond what is open to all.
    fn any_client(&self, camera: &Camera, of: &dyn Fn(&Row) -> bool) -> bool {
        let House { tables, catalogue, .. } = &*self.house;
        let edition = self.house.edition.load();
        let mut rows = tables.operations();
        rows.any(|(id, row)| {
            let class = row.class.filter(|class| *class != AccessClass::PreAuth && of(row));
            let Some(class) = class else { return false };
            let command = Command {
                request: RequestId::from_bits(0),
                camera: Some(camera.id.clone()),
                operation: Operation::Onvif { id, name: catalogue.name(id) },
                class,
                traits: row.traits,
                destinations: Vec::new(),
                arguments: serde_json::Value::Null,
            };
            edition.callers.iter().any(|caller| edition.rules.would_permit(&command, caller))
        })
    }
}

impl Fleet for HouseFleet {
    fn list(&self) -> Vec<CameraRow> {
        // Policy is asked about one camera at a time only, when it is shown.
        let edition = self.house.edition.load();
        let (rules, inventory) = (&edition.rules, edition.rules.inventory());
        let row = |camera: &Camera| {
            let camera = rules.regards().treated(camera);
            CameraRow::of(&camera, self.why(&camera, true).layer.as_str(), inventory)
        };
        inventory.cameras().map(row).collect()
    }

    fn show(&self, name: &str) -> Option<CameraView> {
        let edition = self.house.edition.load_full();
        let camera = &*edition.rules.camera(&CameraId::new(name).ok()?)?;
        let why = self.why(camera, self.any_client(camera, &|_| true));
        let regard = edition.rules.regards().of(&camera.id);
        let held = Held { inventory: edition.rules.inventory(), regard: &regard };
        let standing = self.house.standings.read(&camera.id);
        let pin = pins::pinned(&self.store, &camera.id).unwrap_or_else(|error| {
            tracing::warn!(camera = %camera.id, %error, "the pin could not be read");
            None
        });
        let events = Some(self.events(camera, &standing));
        let view = CameraView::of("the running gateway", camera, why, standing, pin, &self.known, held);
        Some(CameraView { events, ..view })
    }

    fn candidates(&self) -> Vec<CandidateRow> {
        candidates::rows(&self.house)
    }

    fn picture(&self, name: &str, request: Request) -> Answering<'_> {
        let camera = CameraId::new(name);
        Box::pin(async move {
            match camera {
                Ok(camera) => self.house.wall.picture(camera, request).await,
                Err(_) => Reply::plain(StatusCode::NOT_FOUND, "no camera has such a name\n"),
            }
        })
    }
}
