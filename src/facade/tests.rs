//! The virtual camera against the embedded tables.

use std::{net::IpAddr, sync::Arc};

use super::*;
use crate::{
    hatch::{AddressRules, CoreAddresses, VerifyError, assert_clean, verify, verify_request},
    ids::{CameraId, RequestId, SiteId, ZoneId},
    inventory::{
        Camera, CameraAddress, Isolation, MacPolicy, SecureDoor, StreamWays, VendorClass, VendorVerdict, Zone,
    },
    limits::LOCATORS_PER_ANSWER_MAX,
    onvif::{Catalogue, with_movement_timeout},
    schema::{Deviations, Document, OperationId, Tables, Trait},
};

mod destinations;

struct Bench {
    tables: Arc<Tables>,
    facade: Facade,
    rules: AddressRules,
    core: CoreAddresses,
}

fn camera() -> Camera {
    Camera {
        id: CameraId::new("gate").unwrap(),
        address: CameraAddress { host: "10.20.0.5".parse().unwrap(), port: 80 },
        certificates: None,
        mount: String::new(),
        device_path: "/onvif/device_service".into(),
        zone: ZoneId::new("restricted").unwrap(),
        site: SiteId::new("hq").unwrap(),
        vendor: VendorVerdict {
            name: "maker".into(),
            class: VendorClass::Restricted,
            reasons: Vec::new(),
            declared: None,
            decision: None,
            undecided: None,
        },
        listen: "192.0.2.1:8001".parse().unwrap(),
        advertise: "192.0.2.1:8001".into(),
        secure: None,
        advertise_rtsp: "192.0.2.1:8554".into(),
        advertise_rtsps: None,
        mac: MacPolicy::Virtual,
        manufacturer: None,
        model: None,
        quirks: Vec::new(),
        events: Default::default(),
        streams: Default::default(),
        replacement: None,
        exception: None,
        quarantined: false,
        hardware: None,
    }
}

fn bench() -> Bench {
    bench_of(camera())
}

fn bench_of(camera: Camera) -> Bench {
    let tables = Tables::embedded().unwrap();
    let prefixes = vec!["10.20.0.0/16".parse().unwrap()];
    let zone = Zone {
        id: camera.zone.clone(),
        isolation: Isolation::None,
        prefixes,
        event_sink: None,
        sweep: Vec::new(),
    };
    let rules = AddressRules::new(&camera, &zone);
    let core = CoreAddresses::new(Some(IpAddr::from([192, 0, 2, 77])), &camera);
    let shared = FacadeShared::new(Arc::clone(&tables), FacadeKey::new(&[3; 32]));
    Bench { facade: Facade::new(&shared, &camera), tables, rules, core }
}

fn asked_plainly(request: &Document) -> Asked<'_> {
    Asked { request, entrance: Entrance::Plain }
}

impl Bench {
    fn id(&self, name: &str) -> OperationId {
        self.tables.operation_by_name(name).unwrap_or_else(|| panic!("{name}"))
    }

    fn request(&self, name: &str, inside: &str) -> Document {
        let row = self.tables.operation(self.id(name)).unwrap();
        let local = self.tables.local(self.tables.node(row.input).unwrap().name);
        Document::parse_request(&self.tables, &wrap(name, local, inside), row.input)
            .unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    fn answer(&self, name: &str, inside: &str) -> Document {
        let root = self.tables.operation(self.id(name)).unwrap().output.unwrap();
        let local = self.tables.local(self.tables.node(root).unwrap().name);
        let (answer, deviations) =
            Document::parse_answer(&self.tables, &wrap(name, local, inside), root).unwrap();
        assert!(deviations.is_empty(), "{name}: {deviations:?}");
        answer
    }

    fn xml(&self, document: &Document) -> String {
        let mut out = String::new();
        document.write(&self.tables, &mut out);
        out
    }

    fn own(&self, name: &str, inside: &str) -> Own {
        let now = "2026-11-23T22:00:05Z".parse().unwrap();
        let request = self.request(name, inside);
        self.facade
            .own_answer(self.id(name), asked_plainly(&request), None, now, &|it| it != "ptz")
            .unwrap()
            .unwrap()
    }

    fn own_xml(&self, name: &str, inside: &str) -> String {
        match self.own(name, inside) {
            Own::Document(document, _) => {
                assert_clean(&self.tables, &document, &self.rules).unwrap();
                self.xml(&document)
            }
            Own::Fault(fault) => panic!("{name}: {fault:?}"),
        }
    }

    fn rewritten(&self, name: &str, asked: &str, inside: &str) -> Result<String, RewriteRefusal> {
        let answer = self.answer(name, inside);
        let verified = verify(&self.tables, self.id(name), &answer, &self.rules).unwrap();
        let request = self.request(name, asked);
        let (shown, _) =
            self.facade.rewrite_answer(self.id(name), asked_plainly(&request), &verified.document)?;
        assert_clean(&self.tables, &shown, &self.rules).unwrap();
        Ok(self.xml(&shown))
    }

    fn traits(&self, name: &str, inside: &str) -> (Vec<Trait>, Vec<String>) {
        let catalogue = Catalogue::new(Arc::clone(&self.tables));
        let document = self.request(name, inside);
        let camera = CameraId::new("gate").unwrap();
        let id = self.id(name);
        let command =
            catalogue.command(RequestId::from_bits(1), &camera, &[id], Some("device"), &document).unwrap();
        let places =
            command.destinations.iter().map(|it| format!("{}:{}", it.kind.as_str(), it.host)).collect();
        (command.traits.iter().collect(), places)
    }
}

fn wrap(name: &str, local: &str, inside: &str) -> String {
    let tables = Tables::embedded().unwrap();
    let row = tables.operation(tables.operation_by_name(name).unwrap()).unwrap();
    let node = tables.node(row.input).unwrap();
    let space = tables.namespace_uri(tables.namespace_of(node.name));
    format!(
        "<m:{local} xmlns:m='{space}' xmlns:tt='http://www.onvif.org/ver10/schema' \
         xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'>{inside}</m:{local}>"
    )
}

#[test]
fn the_gateway_answers_itself_what_must_not_depend_on_the_camera() {
    let bench = bench();
    let time = bench.own_xml("tds:GetSystemDateAndTime", "");
    assert!(time.contains(">NTP<") && time.contains("<tt:Second>5</tt:Second>"), "{time}");
    assert!(bench.own_xml("tds:GetNetworkInterfaces", "").contains("192.0.2.1"));
    assert!(bench.own_xml("tds:GetNetworkProtocols", "").contains("<tt:Port>8554</tt:Port>"));
    assert!(bench.own_xml("tds:GetScopes", "").contains("onvif://www.onvif.org/name/gate"));
    assert!(bench.own_xml("tds:GetEndpointReference", "").contains("urn:uuid:"));
    for name in ["GetHostname", "GetDNS", "GetNTP", "GetNetworkDefaultGateway", "GetZeroConfiguration"] {
        bench.own_xml(&format!("tds:{name}"), "");
    }
    for name in
        ["GetWsdlUrl", "GetDiscoveryMode", "GetRemoteDiscoveryMode", "GetDPAddresses", "GetDynamicDNS"]
    {
        bench.own_xml(&format!("tds:{name}"), "");
    }
}

#[test]
fn services_are_shown_at_the_gateway_and_only_those_let_through() {
    let bench = bench();
    assert!(matches!(
        bench.own("tds:GetServices", "<m:IncludeCapability>false</m:IncludeCapability>"),
        Own::Fault(_)
    ));
    let service = |space: &str, path: &str| {
        format!(
            "<m:Service><m:Namespace>http://www.onvif.org/{space}/wsdl</m:Namespace>\
             <m:XAddr>http://admin:pw@10.20.0.5:8080{path}</m:XAddr>\
             <m:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></m:Version></m:Service>"
        )
    };
    let list = [
        service("ver10/device", "/onvif/device"),
        service("ver20/media", "/onvif/all?x=1"),
        service("ver20/ptz", "/onvif/all"),
        service("vendor", "/v"),
    ];
    bench.facade.learn(bench.answer("tds:GetServices", &list.concat()), &Deviations::default()).unwrap();
    let endpoint = bench.facade.endpoint(bench.id("tr2:GetProfiles")).unwrap();
    assert_eq!((endpoint.port, endpoint.path_and_query.as_str()), (None, "/onvif/all?x=1"));
    let shown = bench.own_xml("tds:GetServices", "<m:IncludeCapability>false</m:IncludeCapability>");
    assert!(shown.contains("http://192.0.2.1:8001/onvif/device_service"), "{shown}");
    assert!(shown.contains("http://192.0.2.1:8001/onvif/media2_service"), "{shown}");
    for gone in ["ptz", "vendor", "10.20", "admin"] {
        assert!(!shown.contains(gone), "{gone} in {shown}");
    }
    let older = bench.own_xml("tds:GetCapabilities", "");
    assert!(older.contains("device_service") && !older.contains("PTZ"), "{older}");
    assert_eq!(bench.facade.service_at("/onvif/media2_service"), Some("media2"));
}

#[test]
fn a_list_of_no_services_does_not_stand_before_the_older_one() {
    let bench = bench();
    let learn = |name: &str, inside: &str| {
        bench.facade.learn(bench.answer(name, inside), &Deviations::default()).unwrap();
    };
    learn(
        "tds:GetServices",
        "<m:Service><m:Namespace>urn:vendor</m:Namespace><m:XAddr>http://10.20.0.5/v</m:XAddr>\
         <m:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></m:Version></m:Service>",
    );
    assert_eq!(bench.facade.endpoint(bench.id("trt:GetProfiles")), None);
    learn(
        "tds:GetCapabilities",
        "<m:Capabilities><tt:Imaging><tt:XAddr>http://10.20.0.5/i</tt:XAddr></tt:Imaging></m:Capabilities>",
    );
    let endpoint = bench.facade.endpoint(bench.id("timg:GetOptions")).unwrap();
    assert_eq!(endpoint.path_and_query, "/i");
    let shown = bench.own_xml("tds:GetServices", "<m:IncludeCapability>false</m:IncludeCapability>");
    assert!(shown.contains("/onvif/imaging_service") && !shown.contains("urn:vendor"), "{shown}");
}

#[test]
fn streams_of_a_camera_that_is_reached_over_tls_are_asked_for_and_had_so() {
    let secure = || Camera { certificates: Some(Vec::new()), ..camera() };
    let with = |streams: StreamWays| bench_of(Camera { streams, ..secure() });
    let usual = with(StreamWays::default());
    let (plain, port) = (
        with(StreamWays { plain: true, ..StreamWays::default() }),
        with(StreamWays { secure_port: Some(3322), ..StreamWays::default() }),
    );
    let asked = "<m:Protocol>RtspUnicast</m:Protocol><m:ProfileToken>p1</m:ProfileToken>";
    for (bench, protocol) in
        [(&bench(), "RtspUnicast"), (&usual, "RtspsUnicast"), (&plain, "RtspUnicast"), (&port, "RtspUnicast")]
    {
        let request = bench.request("tr2:GetStreamUri", asked);
        let asked = bench.facade.asked_of_camera(bench.id("tr2:GetStreamUri"), &request).unwrap().unwrap();
        let xml = bench.xml(&asked);
        assert!(xml.contains(&format!("<tr2:Protocol>{protocol}</tr2:Protocol>")), "{xml}");
    }
    let refused = |what| Err(RewriteRefusal::NotOffered(what));
    let clear = "streams in clear, of a camera that is reached over TLS,";
    let other = "streams other than plain RTSP";
    let cases = [
        (&usual, "rtsps://10.20.0.5/live", Ok(322)),
        (&usual, "rtsps://10.20.0.5:5322/live", Ok(5322)),
        (&usual, "rtsp://10.20.0.5/live", refused(clear)),
        (&plain, "rtsp://10.20.0.5/live", Ok(554)),
        (&plain, "rtsps://10.20.0.5/live", refused(other)),
        (&port, "rtsp://10.20.0.5:8554/live", Ok(8554)),
        (&port, "rtsps://10.20.0.5/live", Ok(322)),
        (&port, "http://10.20.0.5/live", refused(clear)),
    ];
    for (bench, uri, port) in cases {
        let answer = bench.answer("tr2:GetStreamUri", &format!("<m:Uri>{uri}</m:Uri>"));
        let verified = verify(&bench.tables, bench.id("tr2:GetStreamUri"), &answer, &bench.rules).unwrap();
        let request = bench.request("tr2:GetStreamUri", asked);
        let made = bench.facade.rewrite_answer(
            bench.id("tr2:GetStreamUri"),
            asked_plainly(&request),
            &verified.document,
        );
        let found = made.map(|(_, made)| made[0].locator.endpoint.port.unwrap());
        assert_eq!(found, port, "{uri}");
    }
}

#[test]
fn streams_in_ways_that_are_not_there_are_refused() {
    let bench = bench();
    let setup = |stream: &str, protocol: &str, token: &str| {
        format!(
            "<m:StreamSetup><tt:Stream>{stream}</tt:Stream><tt:Transport><tt:Protocol>{protocol}</tt:Protocol>\
             </tt:Transport></m:StreamSetup><m:{token}>p1</m:{token}>"
        )
    };
    let (profile, recording) = ("ProfileToken", "RecordingToken");
    let media2 =
        |protocol: &str| format!("<m:Protocol>{protocol}</m:Protocol><m:ProfileToken>p1</m:ProfileToken>");
    let (multicast, unknown) = (Some("multicast streams"), Some("streams by this protocol"));
    for (operation, asked, refused) in [
        ("trt:GetStreamUri", setup("RTP-Multicast", "UDP", profile), multicast),
        ("trt:GetStreamUri", setup("RTP-Unicast", "TCP", profile), unknown),
        ("trt:GetStreamUri", setup("RTP-Unicast", "UDP", profile), None),
        ("trt:GetStreamUri", setup("RTP-Unicast", "HTTP", profile), None),
        ("trp:GetReplayUri", setup("RTP-Multicast", "RTSP", recording), multicast),
        ("trp:GetReplayUri", setup("RTP-Unicast", "TCP", recording), unknown),
        ("trp:GetReplayUri", setup("RTP-Unicast", "RTSP", recording), None),
        ("tr2:GetStreamUri", media2("RtspMulticast"), multicast),
        ("tr2:GetStreamUri", media2("SrtpUnicast"), unknown),
        ("tr2:GetStreamUri", media2("RTSP"), None),
        ("tr2:GetStreamUri", media2("RtspOverHttp"), None),
    ] {
        let request = bench.request(operation, &asked);
        let told = bench.facade.asked_of_camera(bench.id(operation), &request);
        assert_eq!(told.err(), refused.map(RewriteRefusal::NotOffered), "{operation}: {asked}");
    }
}

#[test]
fn streams_and_snapshots_become_locators() {
    let bench = bench();
    let asked = "<m:Protocol>RtspUnicast</m:Protocol><m:ProfileToken>p1</m:ProfileToken>";
    for host in ["10.20.0.5", "[fd00::5]:5554", "CAM.local", "admin:pw@10.20.0.5:554"] {
        let inside = format!("<m:Uri>rtsp://{host}/live?c=1&amp;s=2</m:Uri>");
        let shown = bench.rewritten("tr2:GetStreamUri", asked, &inside).unwrap();
        assert!(shown.contains("<tr2:Uri>rtsp://192.0.2.1:8554/"), "{shown}");
        assert!(!shown.contains("live") && !shown.contains("pw"), "{shown}");
    }
    let refused = bench.rewritten("tr2:GetStreamUri", asked, "<m:Uri>/live</m:Uri>");
    assert_eq!(refused, Err(RewriteRefusal::Address));
    let asked = "<m:ProfileToken>p1</m:ProfileToken>";
    let shown =
        bench.rewritten("tr2:GetSnapshotUri", asked, "<m:Uri>http://10.20.0.5/s.jpg</m:Uri>").unwrap();
    assert!(shown.contains("http://192.0.2.1:8001/onvif/snapshot/"), "{shown}");
}

#[test]
fn what_is_said_of_ways_for_streams_is_the_gateways() {
    let bench = bench();
    let capabilities = |streaming: &str| {
        format!(
            "<m:Capabilities><m:ProfileCapabilities MaximumNumberOfProfiles=\"2\"/>\
             <m:StreamingCapabilities {streaming}/></m:Capabilities>"
        )
    };
    for camera in [
        "RTPMulticast=\"true\" RTSPWebSocketUri=\"ws://10.20.0.5/socket\" SecureRTSPStreaming=\"true\"",
        "RTPMulticast=\"true\" RTSPWebSocketUri=\"ws:/socket\" SecureRTSPStreaming=\"true\"",
        "RTPMulticast=\"false\" SecureRTSPStreaming=\"false\"",
    ] {
        let shown = bench.rewritten("tr2:GetServiceCapabilities", "", &capabilities(camera)).unwrap();
        for said in [
            "RTPMulticast=\"false\"",
            "RTSPWebSocketUri=\"ws:/onvif/streams\"",
            "SecureRTSPStreaming=\"false\"",
        ] {
            assert!(shown.contains(said), "{camera}: {shown}");
        }
        assert!(shown.contains("MaximumNumberOfProfiles=\"2\""), "{shown}");
    }
}

#[test]
fn files_get_a_locator_of_their_own() {
    let bench = bench();
    let inside = "<m:UploadUri>http://10.20.0.5/up</m:UploadUri><m:UploadDelay>PT1S</m:UploadDelay>\
                  <m:ExpectedDownTime>PT1S</m:ExpectedDownTime>";
    let shown = bench.rewritten("tds:StartFirmwareUpgrade", "", inside).unwrap();
    assert!(shown.contains("http://192.0.2.1:8001/onvif/upload/") && !shown.contains("10.20"), "{shown}");
    let refused =
        bench.rewritten("tds:StartFirmwareUpgrade", "", &inside.replace("http", "ftp")).unwrap_err();
    assert!(matches!(refused, RewriteRefusal::NotOffered(_)), "{refused:?}");
    let inside = "<m:Token>c</m:Token><m:UploadUri>http://10.20.0.5/clip</m:UploadUri>\
                  <m:ExpiryTime>2026-01-01T00:00:00Z</m:ExpiryTime>";
    let asked = "<m:Configuration><m:Enabled>true</m:Enabled><m:Name>bell</m:Name><m:Type>x</m:Type><m:RepeatCycles>1</m:RepeatCycles></m:Configuration>";
    let shown = bench.rewritten("tr2:AddAudioClip", asked, inside).unwrap();
    assert!(shown.contains("http://192.0.2.1:8001/onvif/upload/"), "{shown}");
    let uris = |support: &str, backup: &str| {
        let inside = format!(
            "<m:SupportInfoUri>{support}</m:SupportInfoUri><m:SystemBackupUri>{backup}</m:SystemBackupUri>"
        );
        bench.rewritten("tds:GetSystemUris", "", &inside).unwrap()
    };
    let tokens = |shown: &str| {
        let parts = shown.split("http://192.0.2.1:8001/onvif/download/").skip(1);
        parts.map(|it| it[..22].to_owned()).collect::<Vec<_>>()
    };
    let shown = uris("http://10.20.0.5/i?a=1", "http://10.20.0.5/b");
    let two = tokens(&shown);
    assert!(two.len() == 2 && two[0] != two[1] && !shown.contains("a=1"), "{shown}");
    let again = tokens(&uris("http://10.20.0.5/i?a=1", "http://10.20.0.5/c"));
    assert!(again[0] == two[0] && again[1] != two[1], "one for each address: {again:?} {two:?}");
    let partly = uris("ftp://10.20.0.5/i", "http://10.20.0.5/b");
    assert_eq!((tokens(&partly), partly.contains("SupportInfoUri")), (vec![two[1].clone()], false));
}

const ENCODER: &str = "<m:Configuration token='v' GovLength='25'><tt:Name>NAME</tt:Name><tt:UseCount>1</tt:UseCount>\
    <tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>640</tt:Width><tt:Height>480</tt:Height></tt:Resolution>\
    <tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>GROUP</tt:IPv4Address></tt:Address>\
    <tt:Port>5004</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>\
    <tt:Quality>1</tt:Quality></m:Configuration>";

fn encoder(name: &str, group: &str) -> String {
    ENCODER.replace("NAME", name).replace("GROUP", group)
}

#[test]
fn multicast_is_egress_only_with_a_group_and_shown_without_one() {
    let bench = bench();
    let (traits, places) = bench.traits("tr2:SetVideoEncoderConfiguration", &encoder("v", "0.0.0.0"));
    assert!(!traits.contains(&Trait::Egress) && places.is_empty(), "{traits:?} {places:?}");
    let (traits, places) = bench.traits("tr2:SetVideoEncoderConfiguration", &encoder("v", "239.1.2.3"));
    assert!(traits.contains(&Trait::Egress), "{traits:?}");
    assert_eq!(places, ["declared:239.1.2.3"]);
    let many = encoder("v", "239.1.2.3").replace("m:Configuration", "m:Configurations");
    let shown = bench.rewritten("tr2:GetVideoEncoderConfigurations", "", &many).unwrap();
    assert!(shown.contains(">0.0.0.0<") && shown.contains("<tt:Port>0</tt:Port>"), "{shown}");
}

#[test]
fn free_text_that_is_an_address_makes_a_command_egress() {
    let bench = bench();
    let (traits, places) =
        bench.traits("tr2:SetVideoEncoderConfiguration", &encoder("http://u:p@evil.example/x", "0.0.0.0"));
    assert!(traits.contains(&Trait::Egress), "{traits:?}");
    assert_eq!(places, ["text:http://***@evil.example/x"]);
    let ntp = "<m:FromDHCP>false</m:FromDHCP><m:NTPManual><tt:Type>DNS</tt:Type>\
               <tt:DNSname>Time.Example</tt:DNSname></m:NTPManual>";
    let (traits, places) = bench.traits("tds:SetNTP", ntp);
    assert!(traits.contains(&Trait::Egress), "{traits:?}");
    assert_eq!(places, ["declared:time.example"]);
    // Whoever answers DHCP would choose the servers.
    for name in ["tds:SetNTP", "tds:SetDNS"] {
        let (traits, places) = bench.traits(name, "<m:FromDHCP>true</m:FromDHCP>");
        assert!(traits.contains(&Trait::Egress), "{name}: {traits:?}");
        assert_eq!(places, ["declared:fromdhcp=true"], "{name}");
        let (traits, places) = bench.traits(name, "<m:FromDHCP>false</m:FromDHCP>");
        assert!(!traits.contains(&Trait::Egress) && places.is_empty(), "{name}: {traits:?} {places:?}");
    }
    let scopes = "<m:Scopes>onvif://www.onvif.org/name/x</m:Scopes>";
    assert_eq!(bench.traits("tds:SetScopes", scopes).1, Vec::<String>::new());
    let http = "<m:NetworkProtocols><tt:Name>HTTP</tt:Name><tt:Enabled>ON</tt:Enabled><tt:Port>81</tt:Port>\
                </m:NetworkProtocols>";
    let (opens, places) = bench.traits("tds:SetNetworkProtocols", &http.replace("ON", "true"));
    assert!(opens.contains(&Trait::Listener) && places == ["listener:port"], "{opens:?} {places:?}");
}

const INFORMATION: &str = "<m:Manufacturer>Maker</m:Manufacturer><m:Model>MODEL</m:Model>\
    <m:FirmwareVersion>VERSION</m:FirmwareVersion><m:SerialNumber>SN1</m:SerialNumber><m:HardwareId>1</m:HardwareId>";

#[test]
fn a_name_of_the_camera_network_in_free_text_refuses_the_answer() {
    let bench = bench();
    let check = |model: &str, version: &str| {
        let inside = INFORMATION.replace("MODEL", model).replace("VERSION", version);
        let answer = bench.answer("tds:GetDeviceInformation", &inside);
        verify(&bench.tables, bench.id("tds:GetDeviceInformation"), &answer, &bench.rules).map(|_| ())
    };
    let hit = Err(VerifyError::CameraAddress("tds:Model".into()));
    for model in [
        "Cam 10.20.0.5",
        "http://10.20.0.5/",
        "cam_10.20.0.5x",
        "10-20-0-5",
        "10%2E20%2e0.5",
        "(10.20.9.9)",
        "010.020.000.005",
        "0x0A140005",
        "169082885",
        "::ffff:10.20.0.5",
        "HTTP://ADMIN@10.20.0.5:80",
        "Dome 10.30.0.5",
        "Dome 172.16.0.5",
    ] {
        assert_eq!(check(model, "1"), hit, "{model}");
    }
    assert_eq!(check("Dome 9.30.0.5", "10.55.1.2"), Ok(()));
    assert_eq!(check("Dome", "10.20.1.2"), Ok(()), "a version that lies in the zone's prefix");
    assert!(check("Dome", "10.20.0.5").is_err(), "the camera's own address as a version");
    let inside = INFORMATION.replace("MODEL", "M").replace("VERSION", "1");
    let shown = bench.rewritten("tds:GetDeviceInformation", "", &inside).unwrap();
    assert!(!shown.contains("SN1") && shown.contains(&bench.facade.identity().serial), "{shown}");
    let answer = bench.answer("tds:GetDeviceInformation", &inside);
    let other = verify(&bench.tables, bench.id("tds:GetScopes"), &answer, &bench.rules).unwrap_err();
    assert_eq!(other, VerifyError::OtherOperation("tds:GetDeviceInformationResponse".into()));
}

#[test]
fn a_request_does_not_tell_the_camera_who_calls() {
    let bench = bench();
    let check = |name: &str| {
        let request = bench.request("tr2:SetVideoEncoderConfiguration", &encoder(name, "0.0.0.0"));
        verify_request(&bench.tables, &request, &bench.core)
    };
    assert_eq!(check("from 192.0.2.77"), Err(VerifyError::CoreAddress("tt:Name".into())));
    assert_eq!(check("http://192.0.2.1:8001/x"), Err(VerifyError::CoreAddress("tt:Name".into())));
    assert_eq!(check("main"), Ok(()));
    let secure = SecureDoor {
        listen: "192.0.2.9:8443".parse().unwrap(),
        advertise: "secure.gateway.example:8443".into(),
    };
    let named = Camera {
        advertise: "gateway:8001".into(),
        secure: Some(secure),
        advertise_rtsps: Some("streams.gateway.example:8322".into()),
        ..camera()
    };
    let core = CoreAddresses::new(None, &named);
    for (name, told) in [
        ("from secure.gateway.example", true),
        ("by streams.gateway.example", true),
        ("192.0.2.9", true),
        ("at the gateway", false),
    ] {
        let request = bench.request("tr2:SetVideoEncoderConfiguration", &encoder(name, "0.0.0.0"));
        assert_eq!(verify_request(&bench.tables, &request, &core).is_err(), told, "{name}");
    }
}

#[test]
fn namespaces_of_a_request_are_searched_and_recorded() {
    let bench = bench();
    let filter = |uri: &str| {
        let inside = format!(
            "<m:Filter><n:TopicExpression xmlns:n='http://docs.oasis-open.org/wsn/b-2' xmlns:p='{uri}' \
             Dialect='http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet'>p:Maker</n:TopicExpression></m:Filter>"
        );
        bench.request("tev:CreatePullPointSubscription", &inside)
    };
    let told = filter("http://192.0.2.77/");
    let check = |request: &Document| verify_request(&bench.tables, request, &bench.core);
    assert_eq!(check(&told), Err(VerifyError::CoreAddress("xmlns".into())));
    let usual = filter("http://www.maker.example/topics");
    assert_eq!(check(&usual), Ok(()));
    let recorded = usual.arguments(&bench.tables);
    assert_eq!(recorded["@xmlns"], serde_json::json!(["http://www.maker.example/topics"]), "{recorded}");
}

#[test]
fn a_movement_always_ends() {
    let bench = bench();
    let inside = "<m:ProfileToken>p</m:ProfileToken><m:Velocity><tt:PanTilt x='1' y='0'/></m:Velocity>";
    let given = with_movement_timeout(&bench.tables, bench.request("tptz:ContinuousMove", inside)).unwrap();
    assert!(bench.xml(&given).contains("<tptz:Timeout>PT10S</tptz:Timeout>"), "{}", bench.xml(&given));
    let own = format!("{inside}<m:Timeout>PT2S</m:Timeout>");
    let kept = with_movement_timeout(&bench.tables, bench.request("tptz:ContinuousMove", &own)).unwrap();
    assert!(bench.xml(&kept).contains("PT2S"));
}

/// A camera repeats itself as often as an answer has room, and the list is kept.
#[test]
fn a_service_counts_once_and_a_list_has_an_end() {
    let bench = bench();
    let service = |namespace: &str, path: &str| {
        format!(
            "<m:Service><m:Namespace>{namespace}</m:Namespace><m:XAddr>http://10.20.0.5/{path}</m:XAddr>\
             <m:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></m:Version></m:Service>"
        )
    };
    let media = |path: &str| service("http://www.onvif.org/ver10/media/wsdl", path);
    let learn =
        |inside: &str| bench.facade.learn(bench.answer("tds:GetServices", inside), &Deviations::default());
    assert_eq!(learn(&format!("{}{}", media("first"), media("again").repeat(50))), Ok(()));
    let heard: Vec<_> =
        bench.facade.heard().services.iter().map(|it| it.endpoint.path_and_query.clone()).collect();
    assert_eq!(heard, ["/first"]);
    let refused = learn(&media("other").repeat(5_000)).unwrap_err();
    assert_eq!(refused.to_string(), "the camera's list of what it offers is too long");
    assert_eq!(bench.facade.heard().services.len(), 1, "what was heard before stays");
}

#[test]
fn an_answer_needs_no_more_locators_than_any_camera_has_logs() {
    let bench = bench();
    let log = |number: usize| {
        format!(
            "<tt:SystemLog><tt:Type>System</tt:Type><tt:Uri>http://10.20.0.5/log/{number}</tt:Uri></tt:SystemLog>"
        )
    };
    let uris = |count: usize| {
        let logs: String = (0..count).map(log).collect();
        let inside = format!("<m:SystemLogUris>{logs}</m:SystemLogUris>");
        bench.rewritten("tds:GetSystemUris", "", &inside)
    };
    assert!(uris(LOCATORS_PER_ANSWER_MAX).is_ok());
    assert_eq!(uris(LOCATORS_PER_ANSWER_MAX + 1), Err(RewriteRefusal::TooMany));
}
