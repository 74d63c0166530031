//! Documents of the shipped interface, read, changed, built and written.

use std::time::Duration;

use super::{Builder, Document, Edit, Refusal, RewriteError, Value};
use crate::{
    clock::{Clock, SystemClock},
    schema::{DeviationKind, Deviations, NodeId, Tables},
};

const DEVICE: &str =
    "xmlns='http://www.onvif.org/ver10/device/wsdl' xmlns:tt='http://www.onvif.org/ver10/schema'";

fn input(tables: &Tables, operation: &str) -> NodeId {
    tables.operation(tables.operation_by_name(operation).unwrap()).unwrap().input
}

fn output(tables: &Tables, operation: &str) -> NodeId {
    tables.operation(tables.operation_by_name(operation).unwrap()).unwrap().output.unwrap()
}

fn request(operation: &str, text: &str) -> Result<Document, Refusal> {
    let tables = Tables::embedded().unwrap();
    Document::parse_request(&tables, text, input(&tables, operation))
}

fn answer(operation: &str, text: &str) -> Result<(Document, Deviations), Refusal> {
    let tables = Tables::embedded().unwrap();
    Document::parse_answer(&tables, text, output(&tables, operation))
}

fn written(document: &Document) -> String {
    let mut out = String::new();
    document.write(&Tables::embedded().unwrap(), &mut out);
    out
}

fn names(deviations: &Deviations) -> Vec<(DeviationKind, &str)> {
    deviations.iter().map(|it| (it.kind, it.name.as_str())).collect()
}

#[test]
fn a_wildcard_takes_no_more_than_it_says() {
    let notify = |inside: &str| {
        let text = format!(
            "<n:Notify xmlns:n='http://docs.oasis-open.org/wsn/b-2' xmlns:tt='http://www.onvif.org/ver10/schema'>\
             <n:NotificationMessage><n:Message>{inside}</n:Message></n:NotificationMessage></n:Notify>"
        );
        request("wsntw:Notify", &text)
    };
    let one = "<tt:Message UtcTime='2026-01-02T03:04:05Z'/>";
    assert!(notify(one).is_ok());
    let several = notify(&one.repeat(2)).unwrap_err();
    assert_eq!(several.to_string(), "too many of Notify/NotificationMessage/Message/Message");
}

#[test]
fn a_rule_may_hold_a_region_of_motion_and_nothing_a_maker_adds() {
    let rule = |inside: &str| {
        let text = format!(
            "<m:CreateRules xmlns:m='http://www.onvif.org/ver20/analytics/wsdl' \
             xmlns:tt='http://www.onvif.org/ver10/schema' xmlns:x='http://www.onvif.org/ver20/analytics'>\
             <m:ConfigurationToken>c</m:ConfigurationToken><m:Rule Name='r' Type='tt:MotionRegionDetector'><tt:Parameters>\
             <tt:ElementItem Name='MotionRegion'>{inside}</tt:ElementItem></tt:Parameters></m:Rule></m:CreateRules>"
        );
        request("tan:CreateRules", &text)
    };
    let region = |inside: &str| {
        format!(
            "<x:MotionRegionConfig Sensitivity='0.5'><tt:Polygon>{inside}</tt:Polygon></x:MotionRegionConfig>"
        )
    };
    let point = "<tt:Point x='0' y='0'/>";
    let made = written(&rule(&region(&point.repeat(3))).unwrap());
    assert!(made.contains("<axt:MotionRegionConfig Sensitivity=\"0.5\"><tt:Polygon><tt:Point"), "{made}");
    assert!(matches!(rule(&region("<x:Own/>")), Err(Refusal::UnknownElement(_))));
    assert!(matches!(rule("<x:MotionRegionConfigOptions/>"), Err(Refusal::UnknownElement(_))));
}

#[test]
fn an_unreadable_host_is_no_matter_at_the_camera_and_is_one_elsewhere() {
    let uri = |host: &str| {
        format!(
            "<m:GetSnapshotUriResponse xmlns:m='http://www.onvif.org/ver20/media/wsdl'><m:Uri>http://{host}/p.jpg</m:Uri>\
             </m:GetSnapshotUriResponse>"
        )
    };
    let (document, deviations) = answer("tr2:GetSnapshotUri", &uri("192.0.2.1:80:80")).unwrap();
    assert!(written(&document).contains(">http://0.0.0.0:80/p.jpg<"), "{}", written(&document));
    assert_eq!(names(&deviations), [(DeviationKind::Repair, "GetSnapshotUriResponse/Uri")]);
    // What a camera sends to is another place with each name, and nobody's if its name is nobody's.
    let storage = |host: &str| {
        format!(
            "<GetStorageConfigurationsResponse {DEVICE}><StorageConfigurations token='s'><Data type='NFS'><LocalPath>/</LocalPath>\
             <StorageUri>nfs://{host}/r</StorageUri></Data></StorageConfigurations></GetStorageConfigurationsResponse>"
        )
    };
    let told = |host: &str| answer("tds:GetStorageConfigurations", &storage(host)).unwrap();
    assert!(written(&told("nas.example").0).contains("nfs://nas.example/r"));
    let (document, deviations) = told("nas-\u{fc}.example");
    assert!(!written(&document).contains("StorageUri"), "{}", written(&document));
    let [(DeviationKind::Drop, path)] = names(&deviations)[..] else { panic!("{deviations:?}") };
    assert!(path.ends_with("StorageConfigurations/Data/Stor"), "{path}, cut at 64 characters");
}

#[test]
fn requests_are_strict_and_the_place_is_named() {
    let ntp = |inside: &str| request("tds:SetNTP", &format!("<SetNTP {DEVICE}>{inside}</SetNTP>"));
    let manual = "<NTPManual><tt:Type>IPv4</tt:Type><tt:IPv4Address>10.0.0.9</tt:IPv4Address></NTPManual>";
    let cases = [
        ("<FromDHCP>true</FromDHCP><Vendor/>", "unknown element SetNTP/Vendor"),
        ("<FromDHCP x='1'>true</FromDHCP>", "unknown attribute SetNTP/FromDHCP/@x"),
        (manual, "missing element SetNTP/FromDHCP"),
        ("<FromDHCP>true</FromDHCP><FromDHCP>true</FromDHCP>", "too many of SetNTP/FromDHCP"),
        ("<FromDHCP>True</FromDHCP>", "the value of SetNTP/FromDHCP is no boolean"),
        ("<FromDHCP>true</FromDHCP>x", "text in SetNTP, which holds none"),
        (
            "<FromDHCP>true</FromDHCP><NTPManual><tt:Type>IPv5</tt:Type></NTPManual>",
            "the value of SetNTP/NTPManual/Type is none of the listed values",
        ),
    ];
    for (inside, expected) in cases {
        assert_eq!(ntp(inside).expect_err(inside).to_string(), expected);
    }
    let turned = ntp(&format!("{manual}<FromDHCP> true </FromDHCP>")).unwrap();
    assert!(written(&turned).starts_with("<tds:SetNTP><tds:FromDHCP>true</tds:FromDHCP><tds:NTPManual>"));
    assert_eq!(turned.root().find("NTPManual/IPv4Address").unwrap().text(), "10.0.0.9");
    let other = request("tds:SetNTP", &format!("<SetDNS {DEVICE}/>"));
    assert!(matches!(other, Err(Refusal::Root { expected, .. }) if expected == "tds:SetNTP"));
}

#[test]
fn answers_are_put_right_and_each_deviation_is_named() {
    let text = format!(
        "<GetNTPResponse {DEVICE}><NTPInformation><tt:NTPManual><tt:Type>Odd</tt:Type></tt:NTPManual>\
         <tt:FromDHCP>TRUE</tt:FromDHCP><tt:Vendor><x/></tt:Vendor></NTPInformation></GetNTPResponse>"
    );
    let (document, deviations) = answer("tds:GetNTP", &text).unwrap();
    assert_eq!(document.root().find("NTPInformation/FromDHCP").unwrap().text(), "true");
    assert!(!written(&document).contains("Vendor"));
    assert_eq!(
        names(&deviations),
        [
            (DeviationKind::Incomplete, "GetNTPResponse/NTPInformation/NTPManual/Type (value)"),
            (DeviationKind::Repair, "GetNTPResponse/NTPInformation/FromDHCP"),
            (DeviationKind::Drop, "GetNTPResponse/NTPInformation/Vendor"),
            (DeviationKind::Repair, "GetNTPResponse/NTPInformation/(order)"),
        ]
    );
    let (_, bare) = answer("tds:GetNTP", &format!("<GetNTPResponse {DEVICE}/>")).unwrap();
    assert_eq!(names(&bare), [(DeviationKind::Incomplete, "GetNTPResponse/NTPInformation")]);
}

#[test]
fn values_are_replaced_and_left_out_with_what_needs_them() {
    let tables = Tables::embedded().unwrap();
    let text = format!(
        "<SetNTP {DEVICE}><FromDHCP>false</FromDHCP><NTPManual><tt:Type>IPv4</tt:Type>\
         <tt:IPv4Address>10.0.0.9</tt:IPv4Address></NTPManual></SetNTP>"
    );
    let document = request("tds:SetNTP", &text).unwrap();
    let edit = |local: &'static str, edit: Edit| {
        document.rewrite(&tables, &mut |it| if it.local == local { edit.clone() } else { Edit::Keep })
    };
    let replaced = edit("IPv4Address", Edit::Replace("10.0.0.8".to_owned())).unwrap();
    assert!(written(&replaced).contains(">10.0.0.8<"));
    let dropped = edit("IPv4Address", Edit::Drop).unwrap();
    assert!(!written(&dropped).contains("IPv4Address"));
    assert!(written(&edit("Type", Edit::Drop).unwrap()).ends_with("</tds:FromDHCP></tds:SetNTP>"));
    assert_eq!(edit("FromDHCP", Edit::Drop), Err(RewriteError::Mandatory("FromDHCP".to_owned())));
    assert_eq!(
        edit("FromDHCP", Edit::Refuse("an address")),
        Err(RewriteError::Refused("FromDHCP".to_owned(), "an address"))
    );
    let wrong = edit("IPv4Address", Edit::Replace("cam".to_owned())).unwrap_err().to_string();
    assert_eq!(wrong, "the new value of IPv4Address is no IPv4 address");
    let kept = document.retain_elements(&tables, &mut |it| it.local() != "NTPManual").unwrap();
    assert_eq!(written(&kept), "<tds:SetNTP><tds:FromDHCP>false</tds:FromDHCP></tds:SetNTP>");
}

/// A camera repeats what must go as often as its answer has room.
#[test]
fn leaving_out_many_takes_no_longer_for_each() {
    let tables = Tables::embedded().unwrap();
    let clock = SystemClock::new();
    let many = 60_000;
    let service = "<Service><Namespace>10.0.0.9</Namespace></Service>";
    let first = service.replace("10.0.0.9", "urn:stays");
    let text = format!("<GetServicesResponse {DEVICE}>{first}{}</GetServicesResponse>", service.repeat(many));
    let (document, _) = answer("tds:GetServices", &text).unwrap();
    let begun = clock.monotonic();
    let is_hit = |it: &Value<'_>| it.text == "10.0.0.9";
    let left = document.rewrite(&tables, &mut |it| if is_hit(it) { Edit::Drop } else { Edit::Keep }).unwrap();
    let mut seen = 0;
    let kept = document.retain_elements(&tables, &mut |it| {
        seen += usize::from(it.local() == "Service");
        it.local() != "Service" || seen == 1
    });
    let took = clock.monotonic() - begun;
    let expected = "<tds:GetServicesResponse><tds:Service><tds:Namespace>urn:stays</tds:Namespace></tds:Service>\
                    </tds:GetServicesResponse>";
    assert_eq!(written(&left), expected);
    assert_eq!(written(&kept.unwrap()), expected);
    assert_eq!(seen, many + 1);
    assert!(took < Duration::from_secs(3), "{took:?}");
    // The last of a list that must not be empty still stays, and says so.
    let alone = document.rewrite(&tables, &mut |it| match it.local {
        "Namespace" => Edit::Drop,
        _ => Edit::Keep,
    });
    assert_eq!(alone, Err(RewriteError::Mandatory("Namespace".to_owned())));
}

#[test]
fn records_show_no_secret() {
    let tables = Tables::embedded().unwrap();
    let text = format!(
        "<CreateUsers {DEVICE}><User><tt:Username>a</tt:Username><tt:Password>geheim</tt:Password>\
         <tt:UserLevel>User</tt:UserLevel></User></CreateUsers>"
    );
    let document = request("tds:CreateUsers", &text).unwrap();
    let shown = document.arguments(&tables).to_string();
    assert_eq!(shown, r#"{"User":{"Username":"a","Password":"***","UserLevel":"User"}}"#);
    let error =
        request("tds:CreateUsers", &text.replace("geheim", "geheim</tt:Password><tt:Password>")).unwrap_err();
    assert_eq!(error.to_string(), "too many of CreateUsers/User/Password");
}

#[test]
fn topics_keep_their_namespaces() {
    let tables = Tables::embedded().unwrap();
    let text = "<e:GetEventPropertiesResponse xmlns:e='http://www.onvif.org/ver10/events/wsdl' \
        xmlns:n='http://docs.oasis-open.org/wsn/b-2' xmlns:t='http://docs.oasis-open.org/wsn/t-1' \
        xmlns:v='urn:vendor' xmlns:o='http://www.onvif.org/ver10/topics'>\
        <e:TopicNamespaceLocation>http://a.example/t.xml</e:TopicNamespaceLocation>\
        <n:FixedTopicSet>true</n:FixedTopicSet><t:TopicSet><o:VideoSource><v:Blur t:topic='true'/></o:VideoSource>\
        </t:TopicSet></e:GetEventPropertiesResponse>";
    let (document, _) = answer("tev:GetEventProperties", text).unwrap();
    let out = written(&document);
    assert!(out.contains("<tns1:VideoSource><ns"), "{out}");
    assert!(out.contains(":Blur wstop:topic=\"true\"/>"), "{out}");
    let namespaces = document.namespaces(&tables);
    assert!(
        namespaces.iter().any(|(prefix, uri)| prefix.starts_with("ns") && uri == "urn:vendor"),
        "{namespaces:?}"
    );
}

#[test]
fn a_builder_is_as_strict_as_a_request() {
    let tables = Tables::embedded().unwrap();
    let root = input(&tables, "tds:SetNTP");
    let mut builder = Builder::new(&tables, root);
    builder.open("NTPManual").unwrap().leaf("Type", "DNS").unwrap();
    builder.leaf("DNSname", "time.example").unwrap().close().unwrap();
    builder.leaf("FromDHCP", "false").unwrap();
    let document = builder.finish().unwrap();
    assert!(
        written(&document)
            .starts_with("<tds:SetNTP><tds:FromDHCP>false</tds:FromDHCP><tds:NTPManual><tt:Type>")
    );
    let error = Builder::new(&tables, root).finish().unwrap_err().to_string();
    assert_eq!(error, "missing element SetNTP/FromDHCP");
    let error = Builder::new(&tables, root).open("Nope").map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "unknown element SetNTP/Nope");
}
