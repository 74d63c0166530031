//! Inventory and clients as Cedar entities, built once per configuration.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema};

use crate::{
    auth::{CameraScope, ClientRecord},
    command::{Prompt, Reason},
    ids::{CameraId, ClientId},
    inventory::{Camera, Inventory, VendorClass},
};

/// Makes names of entities; the types are parsed once.
#[derive(Debug)]
pub(super) struct Names {
    types: HashMap<&'static str, EntityTypeName>,
}

impl Names {
    pub(super) fn new() -> Result<Self, String> {
        let parse = |name: &'static str| match name.parse() {
            Ok(parsed) => Ok((name, parsed)),
            Err(error) => Err(format!("{name}: {error}")),
        };
        Ok(Self { types: TYPES.into_iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// The entity of that type and name; none for a type that is not ours.
    pub(super) fn uid(&self, kind: &str, name: &str) -> Option<EntityUid> {
        let kind = self.types.get(kind)?;
        Some(EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name)))
    }

    fn need(&self, kind: &str, name: &str) -> Result<EntityUid, String> {
        self.uid(kind, name).ok_or_else(|| format!("no entity type {kind}"))
    }
}

/// The one quarantine there is.
const QUARANTINE: &str = "quarantine";

const TYPES: [&str; 16] = [
    "Action",
    "Anonymous",
    "Appliance",
    "Camera",
    "Client",
    "Gateway",
    "Local",
    "Login",
    "Network",
    "Quarantine",
    "Role",
    "Site",
    "Trait",
    "Vendor",
    "VendorClass",
    "Zone",
];

/// What of a camera may change while its configuration stays, as far as decisions go by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Stand {
    vendor: String,
    class: VendorClass,
    excepted: bool,
    quarantined: bool,
}

impl Stand {
    pub(super) fn of(camera: &Camera) -> Self {
        Self {
            vendor: camera.vendor.name.clone(),
            class: camera.vendor.class,
            excepted: camera.exception.is_some(),
            quarantined: camera.quarantined,
        }
    }
}

/// How many cameras a scene holds, about: a change of one camera costs a new scene.
const SCENE_CAMERAS: usize = 64;
/// How many scenes there are: each has the actions and clients anew.
const SCENES_MAX: usize = 64;

/// Everybody who may ask, every action, and a share of the cameras as Cedar takes them, with each camera as it stood when
/// it was asked about last.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) entities: Entities,
    stands: HashMap<CameraId, Stand>,
}

impl Scene {
    /// Whether a camera stands in it as it does now.
    pub(super) fn shows(&self, camera: &Camera) -> bool {
        self.stands.get(&camera.id) == Some(&Stand::of(camera))
    }

    /// The same with a camera as it stands now.
    pub(super) fn with(
        &self,
        names: &Names,
        camera: &Camera,
        inventory: &Inventory,
        schema: &Schema,
    ) -> Result<Self, String> {
        let entity = camera_entity(names, names.need("Camera", camera.id.as_str())?, camera, inventory)?;
        let entities = self.entities.clone().upsert_entities([entity], Some(schema));
        let mut stands = self.stands.clone();
        stands.insert(camera.id.clone(), Stand::of(camera));
        Ok(Self { entities: entities.map_err(|error| error.to_string())?, stands })
    }
}

/// Everybody and everything policies decide about.
#[derive(Debug)]
pub(super) struct Cast {
    /// The cameras are spread over these: a decision is about one camera, and what was found of it since the start may
    /// change how it stands. With one scene for all, ten thousand cameras that each change once would cost ten thousand
    /// copies of ten thousand cameras. Never empty.
    scenes: Vec<ArcSwap<Scene>>,
    /// Which scene holds a camera.
    places: HashMap<CameraId, usize>,
    pub(super) clients: HashMap<ClientId, EntityUid>,
    pub(super) cameras: HashMap<CameraId, EntityUid>,
    pub(super) anonymous: EntityUid,
    pub(super) appliance: EntityUid,
    pub(super) gateway: HashMap<Reason, EntityUid>,
    pub(super) local: HashMap<Prompt, EntityUid>,
}

impl Cast {
    pub(super) fn new(
        names: &Names,
        inventory: &Inventory,
        clients: &[ClientRecord],
        schema: &Schema,
    ) -> Result<Self, String> {
        let anonymous = names.need("Anonymous", "anonymous")?;
        let appliance = names.need("Appliance", "cordon")?;
        let mut all = vec![Entity::with_uid(anonymous.clone()), Entity::with_uid(appliance.clone())];
        let mut client_uids = HashMap::new();
        for client in clients {
            let uid = names.need("Client", client.id.as_str())?;
            all.push(client_entity(names, uid.clone(), client)?);
            client_uids.insert(client.id.clone(), uid);
        }
        let gateway = Reason::ALL
            .into_iter()
            .map(|reason| Ok((reason, names.need("Gateway", reason.as_str())?)))
            .collect::<Result<_, String>>()?;
        let local = Prompt::ALL
            .into_iter()
            .map(|prompt| Ok((prompt, names.need("Local", prompt.as_str())?)))
            .collect::<Result<_, String>>()?;
        let everybody = Entities::from_entities(all, Some(schema)).map_err(|error| error.to_string())?;
        let cameras: Vec<&Camera> = inventory.cameras().collect();
        let share = cameras.len().div_ceil(SCENES_MAX).max(SCENE_CAMERAS);
        let (mut scenes, mut places, mut camera_uids) = (Vec::new(), HashMap::new(), HashMap::new());
        for held in cameras.chunks(share) {
            let mut entities = Vec::with_capacity(held.len());
            for camera in held {
                let uid = names.need("Camera", camera.id.as_str())?;
                entities.push(camera_entity(names, uid.clone(), camera, inventory)?);
                camera_uids.insert(camera.id.clone(), uid);
                places.insert(camera.id.clone(), scenes.len());
            }
            let entities = everybody.clone().add_entities(entities, Some(schema));
            let entities = entities.map_err(|error| error.to_string())?;
            let stands = held.iter().map(|camera| (camera.id.clone(), Stand::of(camera))).collect();
            scenes.push(ArcSwap::from_pointee(Scene { entities, stands }));
        }
        if scenes.is_empty() {
            scenes.push(ArcSwap::from_pointee(Scene { entities: everybody, stands: HashMap::new() }));
        }
        Ok(Self {
            scenes,
            places,
            clients: client_uids,
            cameras: camera_uids,
            anonymous,
            appliance,
            gateway,
            local,
        })
    }

    /// What a decision about this camera, or about none, is made by: the camera as it stands now. What was found of
    /// cameras changes seldom, so that each change costs the next decision about that camera a new scene.
    pub(super) fn scene(
        &self,
        names: &Names,
        camera: Option<&Camera>,
        inventory: &Inventory,
        schema: &Schema,
    ) -> Result<Arc<Scene>, String> {
        let place = camera.and_then(|it| self.places.get(&it.id)).copied().unwrap_or_default();
        let place = self.scenes.get(place).ok_or("no entities were made for this camera")?;
        let scene = place.load_full();
        let Some(camera) = camera.filter(|it| !scene.shows(it)) else { return Ok(scene) };
        let scene = Arc::new(scene.with(names, camera, inventory, schema)?);
        // Another thread may have put a camera of its own into it meanwhile: that is done again when it asks.
        place.store(Arc::clone(&scene));
        Ok(scene)
    }
}

fn camera_entity(
    names: &Names,
    uid: EntityUid,
    camera: &Camera,
    inventory: &Inventory,
) -> Result<Entity, String> {
    // A site that is not in the inventory counts as sensitive: the stricter rules hold.
    let sensitive = inventory.site(&camera.site).is_none_or(|site| site.sensitive);
    let attributes = [
        ("sensitive_site".to_owned(), RestrictedExpression::new_bool(sensitive)),
        ("excepted".to_owned(), RestrictedExpression::new_bool(camera.exception.is_some())),
    ];
    let mut parents = HashSet::from([
        names.need("Vendor", &camera.vendor.name)?,
        names.need("VendorClass", camera.vendor.class.as_str())?,
        names.need("Site", camera.site.as_str())?,
        names.need("Zone", camera.zone.as_str())?,
    ]);
    if camera.quarantined {
        parents.insert(names.need("Quarantine", QUARANTINE)?);
    }
    Entity::new(uid, attributes.into(), parents).map_err(|error| error.to_string())
}

fn client_entity(names: &Names, uid: EntityUid, client: &ClientRecord) -> Result<Entity, String> {
    let (all, only): (bool, &[CameraId]) = match &client.cameras {
        CameraScope::All => (true, &[]),
        CameraScope::Only(cameras) => (false, cameras),
    };
    let only = only
        .iter()
        .map(|camera| names.need("Camera", camera.as_str()).map(RestrictedExpression::new_entity_uid))
        .collect::<Result<Vec<_>, _>>()?;
    let attributes = [
        ("all_cameras".to_owned(), RestrictedExpression::new_bool(all)),
        ("cameras".to_owned(), RestrictedExpression::new_set(only)),
    ];
    let parents = HashSet::from([names.need("Role", client.role.as_str())?]);
    Entity::new(uid, attributes.into(), parents).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{SCENE_CAMERAS, SCENES_MAX};
    use crate::{
        auth::Role,
        command::Command,
        inventory::Camera,
        policy::tests::{House, as_role, onvif},
    };

    #[test]
    fn a_camera_that_is_found_to_be_another_costs_no_copy_of_the_fleet() {
        for (count, most) in [(10, 10), (1_000, SCENE_CAMERAS), (10_000, 10_000_usize.div_ceil(SCENES_MAX))] {
            let house = House::with_fleet(count);
            let held = house.engine.cast.scenes.iter().map(|it| it.load().stands.len());
            assert_eq!((held.clone().sum::<usize>(), held.max()), (count, Some(most)));
        }
        let house = House::with_fleet(200);
        for as_configured in house.inventory.cameras() {
            let barred = Camera { quarantined: true, ..as_configured.clone() };
            for (camera, served) in [(as_configured, true), (&barred, false), (as_configured, true)] {
                let command = Command { camera: Some(camera.id.clone()), ..onvif("trt:GetProfiles") };
                let decision = house.engine.decide(&as_role(Role::User), &command, Some(camera));
                assert_eq!(decision.allow, served, "{decision:?}");
            }
        }
    }
}
