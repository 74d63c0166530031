//! Reports as an auditor gets them, and their figures recomputed from the lines of the log.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Args, build::observable};
use crate::{
    audit::{Asked, Decision, Ending, Event, Intent, Kind, Log, Options, Outcome, Who},
    clock::{Clock, SimulatedClock, SystemEntropy},
    cmd::regards::StoredRegards,
    config,
    discovery::DEVICE_FOUND,
    ids::CameraId,
    inventory::{
        Accepted, Baseline, Device, FactKind, Facts, Quarantine, Reading, Regard, RegardBook, SignalKind,
    },
    isolation::{ASKED, BLOCKED, BLOCKED_SUMMARY},
    store::{Clerk, Store},
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

const CONFIG: &str = r#"
[gateway]
name = "test-gateway"
state_dir = "state"

[[site]]
name = "ministry"
sensitive = true

[[site]]
name = "depot"
sensitive = false

[[zone]]
name = "restricted"
isolation = "none"
prefixes = ["192.0.2.0/24"]

[[camera]]
name = "gate"
address = "192.0.2.10"
zone = "restricted"
site = "ministry"
vendor = "Hikvision"
username = "cordon"
password = { env = "SECRET" }
replacement = "ordered"
replace_by = 2026-11-01

[[camera]]
name = "lobby"
address = "192.0.2.11"
zone = "restricted"
site = "depot"
vendor = "Axis"
username = "cordon"
password = { env = "SECRET" }

[[camera]]
name = "attack"
address = "192.0.2.12"
zone = "restricted"
site = "ministry"
replace_by = 2027-01-31
vendor = "<script>alert(1)</script>\"'>&\u202e"
username = "cordon"
password = { env = "SECRET" }

[[exception]]
camera = "gate"
owner = "A. Owner"
reason = "ordered"
until = "2026-12-31"
"#;

/// What a hostile camera says wherever it can.
const HOSTILE: &str =
    "</td><script src=//203.0.113.9></script><img src=x onerror=\"alert('x')\">&amp;\u{202e}\u{7}";

struct Folder {
    dir: TempDir,
    clock: Arc<SimulatedClock>,
}

impl Folder {
    /// A configuration, and a log with a few commands and attempts that is closed.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cordon.toml"), CONFIG).unwrap();
        let clock = Arc::new(SimulatedClock::new("2026-11-26T08:00:00Z".parse().unwrap()));
        let folder = Self { dir, clock };
        folder.fill();
        folder.regard();
        folder
    }

    fn audit(&self) -> std::path::PathBuf {
        self.dir.path().join("state/audit")
    }

    /// What the lobby's camera showed while the gateway ran, and what followed.
    fn regard(&self) {
        let store = Store::open(&self.dir.path().join("state/state.sqlite")).unwrap();
        let mut regard = Regard::default();
        regard.known_by.add(SignalKind::Manufacturer, "AXIS");
        regard.known_by.add(SignalKind::HttpServer, HOSTILE);
        regard.known_by.add(SignalKind::Mac, "58:03:fb:36:12:2a");
        let since = "2026-11-26T08:00:01Z".parse().unwrap();
        let device = Some(Device::Shows(regard.known_by.clone()));
        regard.quarantine = Some(Quarantine { since, why: HOSTILE.to_owned(), device });
        let accepted =
            Accepted { at: since, by: "root".to_owned(), reason: HOSTILE.to_owned(), superseded: None };
        regard.accepted = Some(accepted);
        let clock: Arc<dyn Clock> = self.clock.clone();
        let clerk = Arc::new(Clerk::start(store).unwrap());
        StoredRegards::new(&clerk, &Arc::new(Mutex::new(Store::in_memory().unwrap())), &clock)
            .keep(&CameraId::new("lobby").unwrap(), &regard);
    }

    fn fill(&self) {
        let dir = self.audit();
        fs::create_dir_all(&dir).unwrap();
        let options = Options::new(&dir, "test-gateway/audit");
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (log, _) = Log::open(&options, clock, &SystemEntropy).unwrap();
        log.note(Event::new("start", Value::Null)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for number in 0..40 {
            let intent = intent(number);
            if intent.decision == Decision::Denied {
                runtime.block_on(log.refusal(intent)).unwrap();
            } else {
                let slot = runtime.block_on(log.intent(intent)).unwrap();
                let series = (number == 1).then_some(Asked { times: 80, answered: 80 });
                slot.finish(Outcome { what: Ending::Answered, series, ..Outcome::default() });
            }
        }
        for event in attempts() {
            log.note(event).unwrap();
        }
        log.note(Event::new("requests-left-out", json!({ "source": "192.0.2.99", "requests": 17 }))).unwrap();
        self.clock.advance(std::time::Duration::from_secs(3_600));
        log.note(Event::new("stop", Value::Null)).unwrap();
        log.close().unwrap();
    }

    /// Runs `cordon report …` and gives what it says.
    fn report(&self, arguments: &[&str]) -> Result<String, String> {
        let config = self.dir.path().join("cordon.toml");
        let mut all = vec!["report"];
        if arguments.first() != Some(&"verify") {
            all.extend(["--config", config.to_str().unwrap()]);
        }
        all.extend(arguments);
        let line = Line::try_parse_from(all).map_err(|error| error.to_string())?;
        let loaded = line.args.config().map(|path| {
            config::load(path, &|_| Some("secret".to_owned())).unwrap_or_else(|wrong| panic!("{wrong:?}"))
        });
        let (mut out, mut err) = (Vec::new(), Vec::new());
        line.args
            .run(loaded.as_ref(), &*self.clock, &mut out, &mut err)
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.report(&[&["--format", "json"], arguments].concat()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Every line of the log, read by nobody else's means.
    fn lines(&self) -> Vec<Value> {
        let mut files: Vec<_> = fs::read_dir(self.audit()).unwrap().map(|it| it.unwrap().path()).collect();
        files.retain(|it| it.extension().is_some_and(|it| it == "jsonl"));
        files.sort();
        let texts: Vec<String> = files.iter().map(|it| fs::read_to_string(it).unwrap()).collect();
        texts.iter().flat_map(|it| it.lines()).map(|it| serde_json::from_str(it).unwrap()).collect()
    }
}

fn intent(number: u64) -> Intent {
    let denied = number.is_multiple_of(3);
    let camera = ["gate", "lobby", "taken-down"][usize::try_from(number % 3).unwrap()];
    Intent {
        request: format!("{number:016x}"),
        who: Who { kind: Kind::Client, name: "vms".to_owned(), ..Who::default() },
        camera: Some(camera.to_owned()),
        vendor: Some(if number % 3 == 2 { HOSTILE } else { "hikvision" }.to_owned()),
        vendor_class: Some("restricted".to_owned()),
        operation: if number == 0 { HOSTILE } else { "tds:SetNTP" }.to_owned(),
        decision: if denied { Decision::Denied } else { Decision::Permitted },
        policies: if number.is_multiple_of(2) { vec!["restricted-egress".to_owned()] } else { vec![] },
        note: (number % 2 == 1).then(|| HOSTILE.to_owned()),
        ..Intent::default()
    }
}

fn attempts() -> Vec<Event> {
    let since = "2026-11-26T08:00:00Z";
    let flow = |to: &str, port: u16, packets: u64| json!({ "to": to, "protocol": "udp", "port": port, "packets": packets });
    let of = |camera: Option<&str>, detail: Value| Event {
        camera: camera.map(str::to_owned),
        ..Event::new(BLOCKED, detail)
    };
    vec![
        of(
            Some("gate"),
            json!({ "zone": "restricted", "source": "192.0.2.10", "since": since, "packets": 100,
                "local": 6, "destinations": [flow("203.0.113.9", 8_800, 60), flow("198.51.100.1", 53, 30),
                    { "to": "224.0.0.251", "protocol": "udp", "port": 5_353, "packets": 4, "local": true }],
                "more_destinations": 4 }),
        ),
        of(
            Some("gate"),
            json!({ "zone": "restricted", "source": "192.0.2.10", "since": since, "packets": 5,
                "destinations": [flow("203.0.113.9", 8_800, 5)], "before_start": true }),
        ),
        of(
            None,
            json!({ "zone": "restricted", "source": "192.0.2.77", "since": since, "packets": 3,
                "destinations": [flow(HOSTILE, 1, 3)] }),
        ),
        Event::new(
            BLOCKED_SUMMARY,
            json!({ "zone": "restricted", "since": since, "sources": [["192.0.2.11", 7], ["192.0.2.12", 5]], "local": [2, 5], "rest_sources": 2,
                "rest_packets": 11, "not_attributed": 13 }),
        ),
        Event::new(
            DEVICE_FOUND,
            json!({ "zone": "restricted", "address": "192.0.2.77", "mac": "44:19:b6:00:00:77", "endpoint": HOSTILE,
                "vendor": "hikvision", "class": "restricted", "restricted": true, "reasons": [HOSTILE] }),
        ),
        Event::new(
            DEVICE_FOUND,
            json!({ "zone": "restricted", "address": "192.0.2.10", "mac": null, "endpoint": "x", "vendor": "axis",
                "class": "trusted", "restricted": false, "reasons": [] }),
        ),
        Event {
            camera: Some("gate".to_owned()),
            ..Event::new(
                ASKED,
                json!({ "zone": "restricted", "source": "192.0.2.10", "since": since, "questions": 9,
                    "names": [[HOSTILE, 4], ["dev.example A", 3]], "more_names": 1 }),
            )
        },
    ]
}

#[test]
fn no_text_of_a_camera_is_taken_for_markup() {
    let folder = Folder::new();
    let page = folder.report(&[]).unwrap();
    for attack in ["<script", "<img", "onerror=\"", "alert('x')\">", "\u{202e}", "\u{7}"] {
        assert!(!page.contains(attack), "{attack:?} stands in the page");
    }
    assert!(page.contains("&lt;script src=//203.0.113.9&gt;"), "it is shown as what it is");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"), "the maker's name too");
    // Nothing is loaded, and no element but those of the page itself stands in it.
    for element in page.match_indices('<').map(|(at, _)| &page[at + 1..]) {
        let name: String =
            element.chars().take_while(|it| it.is_ascii_alphanumeric() || "!/".contains(*it)).collect();
        let own = [
            "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "b", "br",
            "div", "span", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "dl", "dt", "dd", "pre",
            "code", "footer",
        ];
        assert!(own.contains(&name.trim_start_matches('/')), "<{name}");
    }
    for load in ["src=\"", "href=", "url(", "@import"] {
        assert!(!page.contains(load), "{load}");
    }
    let sheet = folder.report(&["--format", "csv", "--table", "zones"]).unwrap();
    let unshown = "that anything but this program keeps its cameras from the core network";
    assert!(
        sheet.contains(&format!("\r\nrestricted,none,,{unshown},192.0.2.0/24,3,3600,0,0,0,0\r\n")),
        "{sheet}"
    );
    let sheet = folder.report(&["--format", "csv"]).unwrap();
    assert!(sheet.contains("\"<script>alert(1)</script>\"\"'>&\u{fffd}\""), "{sheet}");
}

#[test]
fn attempts_are_seen_where_the_gateway_is_the_router() {
    let isolated = "isolation = \"namespace\"\ninterface = \"eth1\"\naddress = [\"192.0.2.1/24\"]";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cordon.toml");
    fs::write(&path, CONFIG.replace("isolation = \"none\"", isolated)).unwrap();
    let loaded =
        config::load(&path, &|_| Some("secret".to_owned())).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let camera = loaded.inventory.camera(&CameraId::new("gate").unwrap()).unwrap();
    let zone = loaded.inventory.zone(&camera.zone);
    for (routers, is) in [
        (&[][..], "partly"),
        (&["192.0.2.1"], "yes"),
        (&["192.0.2.254"], "no"),
        (&["192.0.2.1", "192.0.2.254"], "no"),
    ] {
        let mut facts = Facts::default();
        facts.add(FactKind::Dns, "192.0.2.254");
        routers.iter().for_each(|it| facts.add(FactKind::Router, it));
        let (at, questions, counts_on) = (jiff::Timestamp::UNIX_EPOCH, BTreeMap::new(), Default::default());
        let last = Some(Reading { at, facts, questions, counts_on });
        let baseline = Baseline { last, ..Baseline::default() };
        assert_eq!(observable(camera, zone, Some(&baseline)).is, is, "{routers:?}");
    }
    assert_eq!(observable(camera, zone, None).is, "partly", "it was not asked yet");
}

#[test]
fn every_device_that_was_seen_is_in_it_with_a_verdict() {
    let folder = Folder::new();
    let report = folder.json(&[]);
    let found = report["found"].as_array().unwrap();
    assert_eq!(found.len(), 1, "one is enrolled meanwhile: {found:#?}");
    let it = &found[0];
    assert_eq!((&it["address"], &it["mac"]), (&"192.0.2.77".into(), &"44:19:b6:00:00:77".into()));
    assert_eq!((&it["maker_name"], &it["class"]), (&"Hikvision".into(), &"restricted".into()));
    assert!(it["us_889"]["is"].is_string() && it["uk_order"]["is"].is_string(), "{it:#?}");
    let stranger = &report["strangers"][0];
    assert_eq!((&stranger["address"], &stranger["maker"]), (&"192.0.2.77".into(), &"hikvision".into()));
    let told =
        |it: &Value| it["what"].as_str().unwrap().contains("192.0.2.77 in zone restricted (Hikvision)");
    assert!(report["attention"].as_array().unwrap().iter().any(told), "{}", report["attention"]);
    let sheet = folder.report(&["--format", "csv", "--table", "found"]).unwrap();
    assert!(sheet.contains("\r\nrestricted,192.0.2.77,44:19:b6:00:00:77,"), "{sheet}");
}

/// The figures, from the lines alone.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    permitted: u64,
    asked_again: u64,
    denied: u64,
    by: BTreeMap<(String, String, String), u64>,
    packets: u64,
    before_start: u64,
    of_nobody: u64,
    local: u64,
    gate: u64,
    to: BTreeMap<(String, u64), u64>,
    questions: u64,
    left_out: u64,
}

fn recomputed(lines: &[Value]) -> Figures {
    let mut it = Figures::default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    for line in lines {
        let (what, detail) = (text(&line["what"]), &line["detail"]);
        if line["type"] == "intent" && line["decision"] == "denied" {
            it.denied += 1;
            let policies: Vec<String> =
                line["policies"].as_array().into_iter().flatten().map(&text).collect();
            let reason = if policies.is_empty() { text(&line["note"]) } else { policies.join(" ") };
            *it.by.entry((text(&line["camera"]), text(&line["operation"]), reason)).or_insert(0) += 1;
        } else if line["type"] == "intent" {
            it.permitted += 1;
        } else if line["type"] == "outcome" {
            it.asked_again += number(&line["series"]["times"]).saturating_sub(1);
        } else if what == "egress-blocked" {
            let packets = number(&detail["packets"]);
            *(if detail["before_start"] == true { &mut it.before_start } else { &mut it.packets }) += packets;
            it.local += number(&detail["local"]);
            it.gate += if line["camera"] == "gate" { packets } else { 0 };
            for flow in detail["destinations"].as_array().unwrap().iter().filter(|it| it["local"] != true) {
                *it.to.entry((text(&flow["to"]), number(&flow["port"]))).or_insert(0) +=
                    number(&flow["packets"]);
            }
        } else if what == "egress-blocked-summary" {
            let nobody = number(&detail["rest_packets"]) + number(&detail["not_attributed"]);
            it.of_nobody += nobody;
            it.local += detail["local"].as_array().into_iter().flatten().map(number).sum::<u64>();
            let sources = detail["sources"].as_array().unwrap();
            it.packets += nobody + sources.iter().map(|source| number(&source[1])).sum::<u64>();
        } else if what == "names-asked" {
            it.questions += number(&detail["questions"]);
        } else if what == "requests-left-out" {
            it.left_out += number(&detail["requests"]);
        }
    }
    it
}

/// As the report shows texts: see `no_text_of_a_camera_is_taken_for_markup`.
fn shown(text: &str) -> String {
    text.replace(['\u{202e}', '\u{7}'], "\u{fffd}")
}

#[test]
fn its_figures_are_those_of_the_log() {
    let folder = Folder::new();
    let wanted = recomputed(&folder.lines());
    assert_eq!(wanted.asked_again, 79);
    assert_eq!((wanted.denied, wanted.permitted, wanted.packets), (14, 26, 100 + 3 + 12 + 11 + 13));
    assert_eq!(wanted.local, 6 + 2 + 5);
    let report = folder.json(&[]);
    let number = |value: &Value| value.as_u64().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = |value: &Value| value.as_array().unwrap().clone();
    let devices: BTreeMap<String, Value> =
        rows(&report["devices"]).into_iter().map(|it| (text(&it["name"]), it)).collect();
    let by = rows(&report["denied"]["rows"]);
    let found = Figures {
        permitted: number(&report["summary"]["commands_permitted"]),
        asked_again: number(&report["summary"]["asked_again"]),
        denied: number(&report["denied"]["commands"]),
        by: by
            .iter()
            .map(|it| {
                ((text(&it["camera"]), text(&it["operation"]), text(&it["reason"])), number(&it["times"]))
            })
            .collect(),
        packets: number(&report["attempts"]["packets"]),
        before_start: number(&report["attempts"]["before_start"]),
        of_nobody: number(&report["attempts"]["of_nobody"]),
        local: number(&report["attempts"]["neighbour_traffic"]),
        gate: ["attempts", "attempts_before_start", "neighbour_traffic"]
            .map(|it| number(&devices["gate"][it]))
            .iter()
            .sum(),
        to: rows(&report["attempts"]["destinations"])
            .iter()
            .map(|it| ((text(&it["to"]), number(&it["port"])), number(&it["packets"])))
            .collect(),
        questions: number(&report["attempts"]["questions"]),
        left_out: number(&report["denied"]["requests_only_counted"]),
    };
    let wanted = Figures {
        by: wanted.by.into_iter().map(|((a, b, c), count)| ((a, shown(&b), shown(&c)), count)).collect(),
        to: wanted.to.into_iter().map(|((to, port), count)| ((shown(&to), port), count)).collect(),
        ..wanted
    };
    assert_eq!(found, wanted);
    let named: u64 = wanted.to.values().sum();
    let total = wanted.packets + wanted.before_start;
    assert_eq!(number(&report["attempts"]["other_destinations"]), total - wanted.local - named);
    // Of many who send at once only the address is told, and it is an enrolled camera's.
    let sent = |name: &str| ["attempts", "neighbour_traffic"].map(|it| number(&devices[name][it]));
    assert_eq!((sent("lobby"), sent("attack"), sent("gate")), ([5, 2], [0, 5], [94, 6]));
    assert_eq!(
        rows(&report["strangers"]).iter().map(|it| text(&it["address"])).collect::<Vec<_>>(),
        ["192.0.2.77"]
    );
    let told = report["attention"].to_string();
    assert!(told.contains("2 cameras tried to reach what they may not: gate, lobby."), "{told}");
    assert_eq!(report["log"]["records"], folder.lines().len());
}

#[test]
fn every_camera_is_told_with_what_is_known_of_its_maker() {
    let report = Folder::new().json(&[]);
    let device = |name: &str| {
        let all = report["devices"].as_array().unwrap();
        all.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    let gate = device("gate");
    assert_eq!(
        (&gate["maker"], &gate["class"], &gate["sensitive"]),
        (&json!("hikvision"), &json!("restricted"), &json!(true))
    );
    assert_eq!((&gate["jurisdiction"]["is"], &gate["us_889"]["is"]), (&json!("CN"), &json!("named")));
    assert_eq!(gate["replacement"], json!({ "state": "ordered", "by": "2026-11-01", "overdue": true }));
    assert_eq!(gate["observable"]["is"], "no");
    let exception =
        json!([{ "owner": "A. Owner", "reason": "ordered", "until": "2026-12-31", "over": false }]);
    assert_eq!(gate["exceptions"], exception);
    let lobby = device("lobby");
    let evidence = lobby["evidence"].to_string();
    assert!(evidence.contains("mac `58:03:fb:36:12:2a` begins with 5803FB"), "{evidence}");
    assert!(
        lobby["contradictions"].to_string().contains("`axis` and `hikvision` have nothing to do"),
        "{lobby}"
    );
    assert_eq!(lobby["quarantine"]["since"], "2026-11-26T08:00:01Z");
    assert_eq!(device("attack")["class"], "unknown");
    let gone = device("taken-down");
    assert_eq!(
        (&gone["address"], &gone["standing"], &gone["restricted"]),
        (&Value::Null, &json!("on record"), &json!(true))
    );
    assert_eq!(report["summary"]["cameras"], 3);
    assert_eq!(report["summary"]["restricted"], 2);
    let zone = &report["zones"][0];
    assert_eq!(
        (&zone["watched_seconds"], &zone["in_force_seconds"], &zone["isolated"]),
        (&json!(3_600), &json!(0), &json!(false))
    );
    let told: Vec<&str> =
        report["attention"].as_array().unwrap().iter().filter_map(|it| it["what"].as_str()).collect();
    for what in [
        "Zone restricted is not isolated; 3 cameras hang in it.",
        "1 restricted cameras look at sensitive sites without an exception: attack.",
        "1 replacements are overdue: gate.",
        "1 cameras are in quarantine, since they seem to be other devices: lobby.",
    ] {
        assert!(told.contains(&what), "{what}: {told:?}");
    }
}

#[test]
fn a_report_is_signed_and_can_be_checked_with_the_key_alone() {
    let folder = Folder::new();
    let path = |name: &str| folder.dir.path().join(name).to_str().unwrap().to_owned();
    let (page, key) = (path("report.html"), path("auditor.key"));
    fs::copy(folder.audit().join("public.key"), &key).unwrap();
    folder.report(&["--output", &page]).unwrap();
    let said = folder.report(&["verify", &page, "--public-key", &key]).unwrap();
    let lines = folder.lines().len();
    assert_eq!(
        said,
        format!(
            "report verified: made by the gateway whose log is test-gateway/audit, of its first {lines} lines\n"
        )
    );
    let text = fs::read_to_string(&page).unwrap();
    fs::write(&page, text.replace("14", "13")).unwrap();
    let refused = folder.report(&["verify", &page, "--public-key", &key]).unwrap_err();
    assert!(refused.contains("is not the one that was signed"), "{refused}");
    folder.report(&["--unsigned", "--output", &path("plain.html")]).unwrap();
    assert!(!Path::new(&path("plain.html.note")).exists());
}

#[test]
fn a_report_says_when_the_log_is_damaged_or_what_it_leaves_out() {
    let folder = Folder::new();
    let nothing = folder.json(&["--since", "2026-11-26T09:30:00Z"]);
    assert_eq!((&nothing["denied"]["commands"], &nothing["log"]["records"]), (&json!(0), &json!(0)));
    assert_eq!(nothing["log"]["verified"], true);
    let segment = folder.audit().join("segment-0000000000000000.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("\"packets\":100", "\"packets\":101", 1)).unwrap();
    let report = folder.json(&[]);
    assert_eq!(report["log"]["verified"], false);
    assert!(
        report["attention"][0]["what"]
            .as_str()
            .unwrap()
            .starts_with("The audit log is not as it was signed: segment-")
    );
    assert!(folder.report(&[]).unwrap().contains("THE LOG COULD NOT BE VERIFIED"));
    fs::remove_dir_all(folder.audit()).unwrap();
    assert!(folder.report(&[]).unwrap_err().contains("there is no audit log yet in"));
}

#[test]
fn a_table_of_mac_prefixes_of_more_than_a_year_is_told() {
    let folder = Folder::new();
    let age = folder.json(&[])["tables"]["mac_age_days"].as_u64().unwrap();
    let told = |report: &Value| {
        let all = report["attention"].as_array().unwrap().iter();
        let of_it = |it: &&Value| it["what"].to_string().contains("MAC prefixes");
        all.filter(of_it).map(|it| (it["what"].clone(), it["remedy"].clone())).collect::<Vec<_>>()
    };
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    folder.clock.advance(day * u32::try_from(365 - age).unwrap());
    assert_eq!(told(&folder.json(&[])), []);
    folder.clock.advance(day);
    let remedy = "Renew it with `cordon vendors import`: makers get new blocks all the time.";
    let found = ("The table of MAC prefixes is 366 days old.".into(), remedy.into());
    assert_eq!(told(&folder.json(&[])), [found]);
}
