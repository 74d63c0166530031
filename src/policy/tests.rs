//! Expectations of the shipped policies, as tables, and of the engine around them.

use std::sync::Arc;

use super::{Decision, Engine, PolicyError, RefusalKind, SHIPPED, operations, operations::OperationFacts};
use crate::{
    auth::{Caller, CameraScope, ClientRecord, Method, Role},
    command::{AdminAction, Command, Destination, DestinationKind, Operation, Prompt, Reason, RtspMethod},
    ids::{CameraId, ClientId, RequestId, SiteId, ZoneId},
    inventory::{
        Camera, CameraAddress, Inventory, Isolation, MacPolicy, Network, Site, SiteException, Vendors, Zone,
    },
    schema::{AccessClass, OperationId, Trait, Traits},
};

use AccessClass::{
    Actuate, NotForClients, PreAuth, ReadMedia, ReadSystem, ReadSystemSecret, ReadSystemSensitive,
    Unrecoverable, WriteSystem,
};

/// A few real rows, among them every one the shipped policies name.
const ROWS: [(&str, AccessClass, &[Trait]); 83] = [
    ("tds:GetSystemDateAndTime", PreAuth, &[]),
    ("tds:GetServices", PreAuth, &[]),
    ("tds:GetDeviceInformation", ReadSystem, &[]),
    ("tds:GetScopes", ReadSystem, &[]),
    ("tds:GetNetworkInterfaces", ReadSystem, &[]),
    ("tds:GetSystemUris", ReadSystem, &[]),
    ("tds:GetIPAddressFilter", ReadSystemSensitive, &[]),
    ("tds:GetUsers", ReadSystemSecret, &[]),
    ("tds:GetNTP", ReadSystem, &[]),
    ("tds:GetDNS", ReadSystem, &[]),
    ("tds:GetNetworkDefaultGateway", ReadSystem, &[]),
    ("tds:GetNetworkProtocols", ReadSystem, &[]),
    ("tds:GetDynamicDNS", ReadSystem, &[]),
    ("tds:GetRemoteDiscoveryMode", ReadSystem, &[]),
    ("tds:GetDPAddresses", ReadSystem, &[]),
    ("tds:GetStorageConfigurations", ReadMedia, &[]),
    ("tev:GetEventBrokers", ReadMedia, &[]),
    ("trv:GetReceivers", ReadMedia, &[]),
    ("tup:GetUplinks", ReadSystem, &[]),
    ("tae:GetActions", ReadSystem, &[]),
    ("trt:GetVideoEncoderConfigurations", ReadMedia, &[]),
    ("tr2:GetWebRTCConfigurations", ReadMedia, &[]),
    ("trt:GetAudioEncoderConfigurations", ReadMedia, &[]),
    ("trt:GetMetadataConfigurations", ReadMedia, &[]),
    ("tr2:GetVideoEncoderConfigurations", ReadMedia, &[]),
    ("tr2:GetAudioEncoderConfigurations", ReadMedia, &[]),
    ("tr2:GetMetadataConfigurations", ReadMedia, &[]),
    ("tds:GetSystemBackup", ReadSystemSecret, &[]),
    ("tds:SetNTP", WriteSystem, &[]),
    ("tds:SetDNS", WriteSystem, &[Trait::Network]),
    ("tds:SetRemoteDiscoveryMode", WriteSystem, &[Trait::Network]),
    ("tds:SetDynamicDNS", WriteSystem, &[Trait::Network]),
    ("tds:SetScopes", WriteSystem, &[]),
    ("tds:CreateUsers", WriteSystem, &[Trait::Users, Trait::SecretRequest]),
    ("tds:SetUser", WriteSystem, &[Trait::Users, Trait::SecretRequest]),
    ("tds:SetHashingAlgorithm", WriteSystem, &[Trait::Users]),
    ("tds:SetNetworkInterfaces", WriteSystem, &[Trait::Network]),
    ("tds:SetNetworkProtocols", WriteSystem, &[Trait::Network]),
    ("tds:SetNetworkDefaultGateway", WriteSystem, &[Trait::Network]),
    ("tds:SetZeroConfiguration", WriteSystem, &[Trait::Network]),
    ("tds:SetIPAddressFilter", WriteSystem, &[Trait::Network]),
    ("tds:AddIPAddressFilter", WriteSystem, &[Trait::Network]),
    ("tds:RemoveIPAddressFilter", WriteSystem, &[Trait::Network]),
    ("tds:LoadCertificates", Unrecoverable, &[Trait::Code]),
    ("tds:UpgradeSystemFirmware", Unrecoverable, &[Trait::Code]),
    ("tds:StartFirmwareUpgrade", Unrecoverable, &[Trait::Code]),
    ("tds:UpgradeFirmware", Unrecoverable, &[Trait::Code]),
    ("tds:RestoreSystem", Unrecoverable, &[Trait::Code]),
    ("tds:StartSystemRestore", Unrecoverable, &[Trait::Code]),
    ("tds:SetSystemFactoryDefault", Unrecoverable, &[Trait::Destructive]),
    ("tds:SystemReboot", Unrecoverable, &[Trait::Destructive]),
    ("tds:CreateStorageConfiguration", Actuate, &[]),
    ("tds:SetStorageConfiguration", Actuate, &[]),
    ("trv:CreateReceiver", Actuate, &[]),
    ("trv:ConfigureReceiver", Actuate, &[]),
    ("trv:SetReceiverMode", Actuate, &[]),
    ("tad:CreateAnalyticsEngineControl", Actuate, &[]),
    ("tad:SetAnalyticsEngineControl", Actuate, &[]),
    ("tls:CreatePaneConfiguration", Actuate, &[]),
    ("tls:SetPaneConfiguration", Actuate, &[]),
    ("tls:SetPaneConfigurations", Actuate, &[]),
    ("tls:SetLayout", Actuate, &[]),
    ("trt:GetProfiles", ReadMedia, &[]),
    ("trt:GetStreamUri", ReadMedia, &[]),
    ("trt:GetSnapshotUri", ReadMedia, &[]),
    ("trt:SetVideoEncoderConfiguration", Actuate, &[]),
    ("trt:StartMulticastStreaming", Actuate, &[]),
    ("trt:SetSynchronizationPoint", Actuate, &[]),
    ("tr2:GetProfiles", ReadMedia, &[]),
    ("tr2:GetStreamUri", ReadMedia, &[]),
    ("tr2:GetSnapshotUri", ReadMedia, &[]),
    ("tr2:StartMulticastStreaming", Actuate, &[]),
    ("tr2:SetSynchronizationPoint", Actuate, &[]),
    ("trp:GetReplayUri", ReadMedia, &[]),
    ("trc:ExportRecordedSegments", ReadMedia, &[]),
    ("trc:ExportRecordedData", ReadMedia, &[]),
    ("tev:CreatePullPointSubscription", ReadMedia, &[Trait::Session]),
    ("tev:PullMessages", ReadMedia, &[Trait::Session]),
    ("tev:SetSynchronizationPoint", ReadMedia, &[Trait::Session]),
    ("wsntw:Subscribe", ReadMedia, &[Trait::Session]),
    ("wsntw:Renew", ReadMedia, &[Trait::Session]),
    ("wsntw:Unsubscribe", ReadMedia, &[]),
    ("wsntw:Notify", NotForClients, &[]),
];

const VENDORS: [(&str, &str); 5] = [
    ("trusted", "axis"),
    ("restricted", "hikvision"),
    ("unknown", "acme"),
    ("sensitive", "hikvision"),
    ("sensitive-trusted", "axis"),
];

pub(super) struct House {
    pub(super) engine: Engine,
    pub(super) inventory: Inventory,
}

impl House {
    fn new() -> Self {
        Self::with(&SHIPPED).unwrap()
    }

    fn with(texts: &[(&str, &str)]) -> Result<Self, PolicyError> {
        Self::for_clients(texts, &clients())
    }

    fn for_clients(texts: &[(&str, &str)], clients: &[ClientRecord]) -> Result<Self, PolicyError> {
        Self::of(inventory(), texts, clients)
    }

    /// With so many cameras of a maker that is not restricted, in a depot.
    pub(super) fn with_fleet(count: usize) -> Self {
        let small = inventory();
        let model = small.cameras().find(|it| it.id.as_str() == "trusted").unwrap();
        let camera =
            |number| Camera { id: CameraId::new(&format!("camera-{number}")).unwrap(), ..model.clone() };
        let site = Site { id: model.site.clone(), sensitive: false };
        let zone = Zone {
            id: model.zone.clone(),
            isolation: Isolation::None,
            prefixes: Vec::new(),
            event_sink: None,
            sweep: Vec::new(),
        };
        let vendors = Arc::new(Vendors::embedded().unwrap());
        let cameras = (0..count).map(camera).collect();
        let inventory = Inventory::new(cameras, vec![site], vec![zone], Vec::new(), vendors).unwrap();
        Self::of(inventory, &SHIPPED, &clients()).unwrap()
    }

    fn of(
        inventory: Inventory,
        texts: &[(&str, &str)],
        clients: &[ClientRecord],
    ) -> Result<Self, PolicyError> {
        let rows = ROWS.iter().map(|(name, class, always)| OperationFacts {
            name: (*name).to_owned(),
            service: "device".to_owned(),
            class: Some(*class),
            always: always.iter().copied().collect(),
            of_appliance: false,
        });
        let mut rows: Vec<OperationFacts> = rows.chain(operations::other_doors()).collect();
        rows.push(OperationFacts { name: "tds:Unclassified".into(), class: None, ..rows[0].clone() });
        let engine = Engine::load_for(rows, texts, &inventory, clients)?;
        Ok(Self { engine, inventory })
    }

    fn camera(&self, name: &str) -> &Camera {
        self.inventory.camera(&CameraId::new(name).unwrap()).unwrap()
    }

    fn decide(&self, caller: &Caller, camera: &str, command: Command) -> Decision {
        let command = Command { camera: Some(CameraId::new(camera).unwrap()), ..command };
        self.engine.decide(caller, &command, Some(self.camera(camera)))
    }
}

pub(super) fn inventory() -> Inventory {
    let vendors = Arc::new(Vendors::embedded().unwrap());
    let camera = |(index, (id, vendor)): (usize, &(&str, &str))| Camera {
        id: CameraId::new(id).unwrap(),
        address: CameraAddress { host: "192.0.2.7".parse().unwrap(), port: 80 },
        certificates: None,
        mount: String::new(),
        device_path: "/onvif/device_service".into(),
        zone: ZoneId::new("yard").unwrap(),
        site: SiteId::new(if id.starts_with("sensitive") { "ministry" } else { "depot" }).unwrap(),
        vendor: vendors.verdict(vendor),
        listen: format!("127.0.0.1:{}", 9000 + index).parse().unwrap(),
        advertise: "127.0.0.1:9000".into(),
        secure: None,
        advertise_rtsp: "127.0.0.1:9554".into(),
        advertise_rtsps: None,
        mac: MacPolicy::Virtual,
        manufacturer: None,
        model: None,
        quirks: Vec::new(),
        events: Default::default(),
        streams: Default::default(),
        replacement: None,
        exception: id.starts_with("sensitive").then(|| SiteException {
            owner: "A. Owner".into(),
            reason: "replaced in spring".into(),
            until: jiff::civil::date(2027, 3, 31),
        }),
        quarantined: false,
        hardware: None,
    };
    let site = |name, sensitive| Site { id: SiteId::new(name).unwrap(), sensitive };
    let zone = Zone {
        id: ZoneId::new("yard").unwrap(),
        isolation: Isolation::None,
        prefixes: Vec::new(),
        event_sink: None,
        sweep: Vec::new(),
    };
    let core = Network { name: "core".into(), prefixes: vec!["10.1.0.0/16".parse().unwrap()] };
    let cameras = VENDORS.iter().enumerate().map(camera).collect();
    Inventory::new(
        cameras,
        vec![site("depot", false), site("ministry", true)],
        vec![zone],
        vec![core],
        vendors,
    )
    .unwrap()
}

pub(super) fn clients() -> Vec<ClientRecord> {
    let record = |id: &str, role, cameras| ClientRecord {
        id: ClientId::new(id).unwrap(),
        role,
        password: None,
        certificates: Vec::new(),
        networks: Vec::new(),
        cameras,
    };
    let mut all: Vec<ClientRecord> =
        Role::ALL.map(|role| record(&role.as_str().to_lowercase(), role, CameraScope::All)).into();
    let only = CameraScope::Only(vec![CameraId::new("trusted").unwrap()]);
    all.push(record("narrow", Role::Administrator, only));
    all
}

pub(super) fn client(id: &str, role: Role) -> Caller {
    Caller::Client {
        id: ClientId::new(id).unwrap(),
        role,
        source: "10.1.2.3:50000".parse().unwrap(),
        method: Method::Wsse,
        tls: false,
    }
}

pub(super) fn as_role(role: Role) -> Caller {
    client(&role.as_str().to_lowercase(), role)
}

pub(super) fn anonymous() -> Caller {
    Caller::Anonymous { source: "10.1.2.3:50000".parse().unwrap(), tls: false }
}

pub(super) fn of(operation: Operation, class: AccessClass) -> Command {
    Command {
        request: RequestId::from_bits(1),
        camera: None,
        operation,
        class,
        traits: Traits::NONE,
        destinations: Vec::new(),
        arguments: serde_json::Value::Null,
    }
}

pub(super) fn onvif(name: &str) -> Command {
    let class = ROWS.iter().find(|row| row.0 == name).map_or(ReadSystem, |row| row.1);
    of(Operation::Onvif { id: OperationId::OF_NO_TABLES, name: name.into() }, class)
}

fn sending_to(name: &str, host: &str) -> Command {
    let destination = Destination {
        kind: DestinationKind::Declared,
        host: host.to_owned(),
        address: host.parse().ok(),
        port: None,
    };
    let traits = Traits::NONE.with(Trait::Egress);
    Command { traits, destinations: vec![destination], ..onvif(name) }
}

#[test]
fn classes_go_to_user_levels_as_onvif_has_it() {
    let house = House::new();
    // Core §5.9.4.3: Administrator, Operator, User, not logged in.
    let matrix = [
        ("tds:GetServices", [true, true, true, true]),
        ("tds:GetDeviceInformation", [true, true, true, false]),
        ("tds:GetIPAddressFilter", [true, true, false, false]),
        ("tds:GetUsers", [true, false, false, false]),
        ("tds:SetScopes", [true, false, false, false]),
        ("tds:SystemReboot", [true, false, false, false]),
        ("trt:GetProfiles", [true, true, true, false]),
        ("trt:SetVideoEncoderConfiguration", [true, true, false, false]),
        ("wsntw:Notify", [false, false, false, false]),
    ];
    let callers = [as_role(Role::Administrator), as_role(Role::Operator), as_role(Role::User), anonymous()];
    for (operation, expected) in matrix {
        let allowed = callers.each_ref().map(|it| house.decide(it, "trusted", onvif(operation)).allow);
        assert_eq!(allowed, expected, "{operation}");
    }
    let refused = house.decide(&as_role(Role::User), "trusted", onvif("tds:GetUsers"));
    assert_eq!(refused.refusal_kind(), Some(RefusalKind::NotAuthorized));
    let note = "no policy permits tds:GetUsers (READ_SYSTEM_SECRET) to the role User";
    assert_eq!(refused.note.as_deref(), Some(note));
    let play = of(Operation::Rtsp(RtspMethod::Play), ReadMedia);
    assert_eq!(house.decide(&as_role(Role::User), "restricted", play).policies, ["onvif.user"]);
}

#[test]
fn a_camera_that_is_not_trusted_is_given_no_destination() {
    let house = House::new();
    let administrator = as_role(Role::Administrator);
    for camera in ["restricted", "unknown"] {
        // A named network makes no difference.
        for host in ["10.1.0.9", "203.0.113.9", "ntp.example.org"] {
            let decision = house.decide(&administrator, camera, sending_to("tds:SetNTP", host));
            assert!(!decision.allow, "{camera} {host}");
            assert!(decision.policies.contains(&"restricted.egress".to_owned()), "{decision:?}");
            assert_eq!(decision.refusal_kind(), Some(RefusalKind::OperationProhibited));
            assert!(decision.note.unwrap().starts_with("forbidden by "));
        }
    }
    let trusted = |host| house.decide(&administrator, "trusted", sending_to("tds:SetNTP", host));
    assert_eq!(trusted("10.1.0.9").policies, ["onvif.administrator"]);
    assert_eq!(trusted("203.0.113.9").policies, ["appliance.named-networks"]);
    assert_eq!(trusted("ntp.example.org").policies, ["appliance.named-networks"]);
}

#[test]
fn a_place_to_listen_is_refused_whether_the_catalogue_calls_it_one_or_not() {
    let house = House::new();
    let place = Destination {
        kind: DestinationKind::Listener,
        host: "httpport".to_owned(),
        address: None,
        port: Some(8080),
    };
    let opening =
        || Command { traits: Traits::NONE, destinations: vec![place.clone()], ..onvif("tds:SetScopes") };
    let administrator = as_role(Role::Administrator);
    for camera in ["restricted", "unknown"] {
        assert!(house.decide(&administrator, camera, onvif("tds:SetScopes")).allow, "{camera}");
        assert_eq!(
            house.decide(&administrator, camera, opening()).policies,
            ["restricted.listener"],
            "{camera}"
        );
    }
    assert!(house.decide(&administrator, "trusted", opening()).allow);
}

#[test]
fn events_are_sent_to_who_subscribes_in_a_named_network_whoever_made_the_camera() {
    let house = House::new();
    let consumer = |host: &str| Command {
        traits: Traits::NONE,
        destinations: vec![Destination {
            kind: DestinationKind::Consumer,
            host: host.to_owned(),
            address: host.parse().ok(),
            port: Some(80),
        }],
        ..onvif("wsntw:Subscribe")
    };
    for camera in ["restricted", "trusted"] {
        let user = as_role(Role::User);
        let own = user.source().unwrap().ip().to_string();
        let decide = |host: &str| house.decide(&user, camera, consumer(host)).policies;
        let another = "appliance.consumer-is-caller";
        assert_eq!(decide(&own), ["onvif.user"], "{camera}");
        assert_eq!(decide("10.1.0.99"), [another], "{camera}");
        assert_eq!(decide("203.0.113.9"), [another, "appliance.consumers"], "{camera}");
        assert_eq!(decide("vms.example.org"), [another, "appliance.consumers"], "{camera}");
    }
}

#[test]
fn what_onvif_gives_to_operators_and_users_is_refused_where_it_leads_out() {
    let house = House::new();
    for (role, operation) in [
        (Role::User, "trc:ExportRecordedData"),
        (Role::User, "trc:ExportRecordedSegments"),
        (Role::Operator, "tds:CreateStorageConfiguration"),
        (Role::Operator, "trv:CreateReceiver"),
        (Role::Operator, "tad:SetAnalyticsEngineControl"),
        (Role::Operator, "tls:SetPaneConfiguration"),
        (Role::Operator, "trt:StartMulticastStreaming"),
        (Role::Operator, "tr2:StartMulticastStreaming"),
    ] {
        let decision = house.decide(&as_role(role), "restricted", onvif(operation));
        assert_eq!(decision.policies, ["restricted.stored-destinations"], "{operation}");
        assert!(house.decide(&as_role(role), "trusted", onvif(operation)).allow, "{operation}");
    }
}

#[test]
fn an_encoder_setting_without_a_destination_is_no_egress() {
    let house = House::new();
    let operator = as_role(Role::Operator);
    // Multicast 0.0.0.0 and AutoStart=false: the command has no trait and no destination.
    let quiet = house.decide(&operator, "restricted", onvif("trt:SetVideoEncoderConfiguration"));
    assert_eq!(quiet.policies, ["onvif.operator"]);
    let loud = sending_to("trt:SetVideoEncoderConfiguration", "239.1.2.3");
    assert_eq!(
        house.decide(&operator, "restricted", loud.clone()).policies,
        ["appliance.named-networks", "restricted.egress"]
    );
    // The destination alone is enough, should the trait be forgotten.
    let forgotten = Command { traits: Traits::NONE, ..loud };
    assert_eq!(house.decide(&operator, "restricted", forgotten).policies, ["restricted.egress"]);
}

#[test]
fn each_dangerous_trait_is_refused_on_a_restricted_camera() {
    let house = House::new();
    for (one, policy) in [
        (Trait::Egress, "restricted.egress"),
        (Trait::Listener, "restricted.listener"),
        (Trait::Code, "restricted.code"),
        (Trait::Network, "restricted.network"),
        (Trait::Users, "restricted.users"),
    ] {
        let command = Command { traits: Traits::NONE.with(one), ..onvif("tds:SetScopes") };
        let decision = house.decide(&as_role(Role::Administrator), "restricted", command);
        assert!(decision.policies.iter().any(|it| it == policy), "{one}: {decision:?}");
    }
}

#[test]
fn the_appliance_keeps_some_things_to_itself() {
    let house = House::new();
    let administrator = as_role(Role::Administrator);
    for (operation, policies) in [
        ("tds:CreateUsers", vec!["appliance.users"]),
        ("tds:SetUser", vec!["appliance.users"]),
        ("tds:SetHashingAlgorithm", vec!["appliance.hashing", "appliance.users"]),
        ("tds:SetNetworkInterfaces", vec!["appliance.address"]),
        ("tds:GetSystemBackup", vec!["appliance.no-transfer"]),
        ("tds:UpgradeSystemFirmware", vec!["appliance.no-transfer"]),
        ("wsntw:Notify", vec!["appliance.not-for-clients"]),
    ] {
        assert_eq!(
            house.decide(&administrator, "trusted", onvif(operation)).policies,
            policies,
            "{operation}"
        );
    }
    let uris = |role| house.decide(&as_role(role), "trusted", onvif("tds:GetSystemUris")).policies;
    assert_eq!(uris(Role::Operator), ["appliance.system-uris"]);
    assert_eq!(uris(Role::Administrator), ["onvif.administrator"]);
}

#[test]
fn on_a_sensitive_site_a_restricted_camera_is_frozen() {
    let house = House::new();
    let administrator = as_role(Role::Administrator);
    let decide = |camera| house.decide(&administrator, camera, onvif("tds:SetScopes"));
    assert_eq!(decide("sensitive").policies, ["sites.sensitive-frozen"]);
    assert!(decide("sensitive-trusted").allow);
    assert!(decide("restricted").allow);
    assert!(house.decide(&as_role(Role::User), "sensitive", onvif("trt:GetStreamUri")).allow);
}

#[test]
fn a_client_reaches_only_its_cameras_and_only_while_configured() {
    let house = House::new();
    let narrow = client("narrow", Role::Administrator);
    assert!(house.decide(&narrow, "trusted", onvif("trt:GetProfiles")).allow);
    assert_eq!(house.decide(&narrow, "unknown", onvif("trt:GetProfiles")).policies, ["client.cameras"]);
    let stranger =
        house.decide(&client("stranger", Role::Administrator), "trusted", onvif("trt:GetProfiles"));
    assert_eq!(stranger.note.as_deref(), Some("the client is not in this configuration"));
    // A caller that claims more than its record has gets nothing.
    let climber = house.decide(&client("user", Role::Administrator), "trusted", onvif("tds:SetScopes"));
    assert!(!climber.allow, "{climber:?}");
}

#[test]
fn the_gateway_may_do_its_own_errands_and_no_more() {
    let house = House::new();
    for (reason, operation, allowed) in [
        (Reason::ClockProbe, "tds:GetSystemDateAndTime", true),
        (Reason::ClockProbe, "tds:GetDeviceInformation", false),
        (Reason::Identity, "tds:GetDeviceInformation", true),
        (Reason::Identity, "tds:GetUsers", false),
        (Reason::LocatorRecovery, "trt:GetStreamUri", true),
        (Reason::LocatorRecovery, "tds:SetNTP", false),
        (Reason::Stream, "trt:GetStreamUri", false),
        (Reason::Baseline, "tds:GetUsers", true),
        (Reason::Baseline, "tds:SetNTP", false),
        (Reason::Settings, "tds:GetUsers", false),
        (Reason::Settings, "tds:SetHostname", false),
        (Reason::Settings, "tds:SetNTP", true),
        (Reason::Settings, "tds:SetDynamicDNS", true),
        (Reason::Settings, "tds:SetNetworkDefaultGateway", false),
        (Reason::Events, "tds:GetUsers", false),
        (Reason::Events, "tev:PullMessages", true),
        (Reason::Stream, "trt:SetSynchronizationPoint", true),
        (Reason::Stream, "tr2:SetSynchronizationPoint", true),
        (Reason::Stream, "trt:StartMulticastStreaming", false),
        (Reason::LocatorRecovery, "trt:SetSynchronizationPoint", false),
        (Reason::Events, "wsntw:Subscribe", true),
        (Reason::Identity, "wsntw:Subscribe", false),
    ] {
        let decision = house.decide(&Caller::Gateway(reason), "restricted", onvif(operation));
        assert_eq!(decision.allow, allowed, "{} {operation}", reason.as_str());
    }
    for (method, allowed) in [(RtspMethod::Play, true), (RtspMethod::Teardown, false)] {
        let stream = Command {
            traits: [Trait::Session].into_iter().collect(),
            ..of(Operation::Rtsp(method), ReadMedia)
        };
        let decision = house.decide(&Caller::Gateway(Reason::Stream), "restricted", stream);
        assert_eq!(decision.allow, allowed, "stream {method:?}: {decision:?}");
    }
    let discover = of(Operation::Admin(AdminAction::Discover), WriteSystem);
    let looking = house.engine.decide(&Caller::Gateway(Reason::Discovery), &discover, None);
    assert_eq!(looking.policies, ["gateway.discovery"]);
    let start = of(Operation::Admin(AdminAction::Start), WriteSystem);
    let gateway = Caller::Gateway(Reason::Identity);
    assert_eq!(house.engine.decide(&gateway, &start, None).policies, ["gateway.own-life"]);
    assert!(!house.engine.decide(&as_role(Role::Administrator), &start, None).allow);
}

#[test]
fn the_gateway_takes_destinations_away_and_gives_none() {
    let house = House::new();
    let settings = Caller::Gateway(Reason::Settings);
    let network = |name| Command { traits: Traits::NONE.with(Trait::Network), ..onvif(name) };
    for name in ["tds:SetNTP", "tds:SetDNS", "tds:SetRemoteDiscoveryMode", "tds:SetDynamicDNS"] {
        for camera in ["restricted", "unknown", "trusted", "sensitive"] {
            let decision = house.decide(&settings, camera, network(name));
            assert_eq!(decision.policies, ["gateway.settings"], "{camera} {name}");
            // A named network makes no difference, nor does a word that turns something on.
            for host in ["10.1.0.9", "203.0.113.9", "type=clientupdates"] {
                assert!(
                    !house.decide(&settings, camera, sending_to(name, host)).allow,
                    "{camera} {name} {host}"
                );
            }
        }
        let administrator = house.decide(&as_role(Role::Administrator), "restricted", network(name));
        assert_eq!(administrator.policies, ["restricted.network"], "{name}");
        let other = house.decide(&Caller::Gateway(Reason::Baseline), "restricted", network(name));
        assert!(!other.allow, "{name}");
    }
}

#[test]
fn only_the_gateways_own_machine_has_it_reload_and_nothing_else() {
    let house = House::new();
    let admin = |action| of(Operation::Admin(action), WriteSystem);
    for by in Prompt::ALL {
        let caller = Caller::Local { by, uid: None };
        let deciding = (by == Prompt::Control).then_some("gateway.identity-decisions");
        for (action, policy) in [
            (AdminAction::Reload, Some("gateway.reload")),
            (AdminAction::Keep, Some("gateway.trial")),
            (AdminAction::RollBack, Some("gateway.trial")),
            (AdminAction::AcceptCamera, deciding),
            (AdminAction::ExpectChange, deciding),
            (AdminAction::ApproveBaseline, deciding),
            (AdminAction::SetBaseline, deciding),
            (AdminAction::EnrolCamera, deciding),
            (AdminAction::Discover, None),
            (AdminAction::Start, None),
        ] {
            let decision = house.engine.decide(&caller, &admin(action), None);
            assert_eq!(decision.policies.first().map(String::as_str), policy, "{by:?} {action:?}");
            assert_eq!(decision.allow, policy.is_some(), "{by:?} {action:?}");
        }
        assert!(!house.decide(&caller, "trusted", onvif("trt:GetProfiles")).allow, "{by:?}");
    }
    for caller in [as_role(Role::Administrator), anonymous(), Caller::Gateway(Reason::Identity)] {
        for action in
            AdminAction::ALL.into_iter().filter(|it| *it != AdminAction::Start && *it != AdminAction::Stop)
        {
            assert!(!house.engine.decide(&caller, &admin(action), None).allow, "{caller:?} {action:?}");
        }
    }
}

/// Even where a policy permits everything.
#[test]
fn what_the_catalogue_does_not_know_is_denied_whatever_policies_say() {
    let house = House::with(&[("all.cedar", "permit (principal, action, resource);")]).unwrap();
    let administrator = as_role(Role::Administrator);
    assert_eq!(house.decide(&administrator, "trusted", onvif("tds:SetNTP")).policies, ["all.cedar:1"]);
    let unknown = of(Operation::Unknown("{urn:x}Open".into()), ReadSystem);
    for (command, note) in [
        (unknown, "the operation {urn:x}Open is not in the catalogue"),
        (onvif("tds:NotThere"), "tds:NotThere is not in the catalogue"),
        (onvif("tds:Unclassified"), "the catalogue gives tds:Unclassified no access class"),
    ] {
        let decision = house.decide(&administrator, "trusted", command);
        assert_eq!((decision.allow, decision.note.as_deref()), (false, Some(note)));
        assert_eq!(decision.refusal_kind(), Some(RefusalKind::NotSupported));
    }
    let mislabelled = Command { class: PreAuth, ..onvif("tds:SetNTP") };
    let note = "tds:SetNTP came as PRE_AUTH but is WRITE_SYSTEM in the catalogue";
    assert_eq!(house.decide(&administrator, "trusted", mislabelled).note.as_deref(), Some(note));
    let elsewhere = Command { camera: None, ..onvif("tds:SetNTP") };
    let decision = house.engine.decide(&administrator, &elsewhere, Some(house.camera("trusted")));
    assert_eq!(decision.note.as_deref(), Some("the command is for another camera than the one asked about"));
}

/// A forbid that fails, beside a permit of everything.
const OVERFLOWS: &str = "permit (principal, action, resource);\n\
    @id(\"broken\") forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };";

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let house = House::with(&[("a.cedar", OVERFLOWS)]).unwrap();
    let decision = house.decide(&as_role(Role::Administrator), "trusted", onvif("trt:GetProfiles"));
    assert!(!decision.allow);
    assert_eq!(decision.policies, ["broken"]);
    assert_eq!(decision.refusal_kind(), Some(RefusalKind::OperationProhibited));
    assert!(decision.note.unwrap().starts_with("a policy could not be evaluated: "));
}

#[test]
fn what_was_decided_is_remembered_but_not_destinations_nor_failures() {
    let house = House::new();
    let engine = &house.engine;
    let decide = |role, command: &Command| house.decide(&as_role(role), "trusted", command.clone());
    let read = onvif("trt:GetProfiles");
    let first = decide(Role::User, &read);
    assert_eq!((engine.remembered(), decide(Role::User, &read)), (1, first));
    let reboot = onvif("tds:SystemReboot");
    assert!(!decide(Role::User, &reboot).allow && decide(Role::Administrator, &reboot).allow, "by role");
    assert_eq!(engine.remembered(), 3);
    let _ = decide(Role::Administrator, &sending_to("tds:SetNTP", "203.0.113.9"));
    assert_eq!(engine.remembered(), 3, "a destination is the caller's to make up");
    let over = House::with(&[("x.cedar", OVERFLOWS)]).unwrap();
    let _ = over.decide(&as_role(Role::User), "trusted", read);
    assert_eq!(over.engine.remembered(), 0, "what could not be evaluated");
}

#[test]
fn a_wrong_policy_file_is_refused_with_file_line_and_remedy() {
    for (text, place, what) in [
        ("// fine\npermit (principal action, resource);", "x.cedar:2: ", "unexpected token"),
        ("permit (principal, action == Action::\"tds:SetNPT\", resource);", "x.cedar:1: ", "tds:SetNPT"),
        (
            "permit (principal, action, resource)\nwhen { context.traits.contains(Trait::\"egres\") };",
            "x.cedar:2: ",
            "egres",
        ),
        ("\n\npermit (principal, action, resource)\nwhen { context.hour < 3 };", "x.cedar:4: ", "hour"),
        ("permit (principal == ?principal, action, resource);", "x.cedar:1: ", "is a template"),
    ] {
        let error = House::with(&[("x.cedar", text)]).err().unwrap().to_string();
        assert!(error.starts_with(place), "{error}");
        assert!(error.contains(what), "{error}");
        assert_eq!(error.lines().filter(|line| line.starts_with("  ")).count(), 1, "{error}");
    }
    let twice =
        "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);";
    let error = House::with(&[("x.cedar", twice)]).err().unwrap().to_string();
    assert!(error.contains("`a`"), "{error}");
}

#[test]
fn every_shipped_policy_has_a_name_and_a_reason() {
    let house = House::new();
    for one in house.engine.policies.values() {
        assert!(!one.id.contains(".cedar"), "{} has no @id", one.place);
        assert!(one.reason.is_some(), "{} has no @reason", one.id);
    }
}

#[test]
fn the_version_changes_with_any_text() {
    let first = House::new().engine.version().to_owned();
    assert_eq!(first.len(), 16);
    let mut texts = SHIPPED;
    texts.reverse();
    assert_eq!(House::with(&texts).unwrap().engine.version(), first);
    let fewer = House::with(&SHIPPED[..4]).unwrap();
    assert_ne!(fewer.engine.version(), first);
    // The same texts decide otherwise about a client that has another role.
    let of =
        |clients: &[ClientRecord]| House::for_clients(&SHIPPED, clients).unwrap().engine.version().to_owned();
    let mut changed = clients();
    changed.reverse();
    assert_eq!(of(&changed), of(&clients()));
    changed[0].role = if changed[0].role == Role::User { Role::Operator } else { Role::User };
    assert_ne!(of(&changed), of(&clients()));
}

#[test]
fn an_explanation_names_what_forbade_and_what_was_overruled() {
    let house = House::new();
    let command = sending_to("tds:SetNTP", "203.0.113.9");
    let command = Command { camera: Some(CameraId::new("restricted").unwrap()), ..command };
    let caller = as_role(Role::Administrator);
    let text = house.engine.explain(&caller, &command, Some(house.camera("restricted")));
    for part in [
        "DENIED: tds:SetNTP (WRITE_SYSTEM) on camera restricted (hikvision, restricted)",
        "forbidden by restricted.egress (forbid, 30-restricted-vendors.cedar:",
        "would be permitted by onvif.administrator (permit, 10-onvif-default-access.cedar:",
        "networks of the destinations: other",
    ] {
        assert!(text.contains(part), "{part} not in:\n{text}");
    }
}

/// Run with `cargo test --release --lib policy:: -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]
fn decisions_take_microseconds() {
    let house = House::new();
    let rounds = 2_000_u32;
    for (camera, command) in [
        ("trusted", onvif("trt:GetProfiles")),
        ("restricted", onvif("trt:GetProfiles")),
        ("restricted", sending_to("tds:SetNTP", "203.0.113.9")),
    ] {
        let caller = as_role(Role::Administrator);
        let command = Command { camera: Some(CameraId::new(camera).unwrap()), ..command };
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(house.engine.decide(&caller, &command, Some(house.camera(camera))));
        }
        println!("{camera} {}: {:?} per decision", command.operation, start.elapsed() / rounds);
    }
    println!("{:?}", house.engine.summary());
}
