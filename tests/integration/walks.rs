//! Two clients that nobody here wrote walk the gateway, with every role, on both vendors.
#![expect(clippy::print_stderr, reason = "what was walked, or skipped, is said")]

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cordon::{
    audit,
    schema::{AccessClass, Tables},
};
use serde_json::{Value, json};

use crate::house::{ADMIN, CAMERA_SIDE, CAR_PARK, House, LOBBY, OPERATOR, Plan, VIEWER};

/// Where `tests/run` put the clients; tests say so and skip where it did not.
const CLIENTS_VARIABLE: &str = "CORDON_CLIENTS";

/// What the gateway answers itself, though these cameras do not offer it.
const ANSWERED_BY_THE_GATEWAY: [&str; 2] = ["tds:GetDPAddresses", "tds:GetRemoteDiscoveryMode"];
/// What the shipped policies forbid on every camera to these roles.
const FORBIDDEN: [(&str, &[&str]); 2] = [
    ("tds:GetSystemBackup", &["Administrator", "Operator", "User"]),
    ("tds:GetSystemUris", &["Operator", "User"]),
];
/// What the shipped policies forbid on the restricted camera, to everybody.
const FORBIDDEN_WHERE_RESTRICTED: [&str; 2] = ["tds:SetNTP", "tds:SetHostname"];
/// Reads that are newer than the WSDL files onvif-zeep ships; it cannot call them.
const NEWER_THAN_ZEEP: [&str; 9] = [
    "tds:GetAuthFailureWarningConfiguration",
    "tds:GetAuthFailureWarningOptions",
    "tds:GetGeoLocation",
    "tds:GetPasswordComplexityConfiguration",
    "tds:GetPasswordComplexityOptions",
    "tds:GetPasswordHistoryConfiguration",
    "tds:GetStorageConfiguration",
    "tds:GetStorageConfigurations",
    "tds:GetUserRoles",
];
/// agsh's names of the calls that are refused to some, and the operations they make.
const AGSH_CALLS: [(&str, &str); 9] = [
    ("getUsers", "tds:GetUsers"),
    ("setNTP", "tds:SetNTP"),
    ("setVideoEncoderConfiguration", "trt:SetVideoEncoderConfiguration"),
    ("continuousMove", "tptz:ContinuousMove"),
    ("relativeMove", "tptz:RelativeMove"),
    ("gotoHomePosition", "tptz:GotoHomePosition"),
    ("stop", "tptz:Stop"),
    ("createPullPointSubscription", "tev:CreatePullPointSubscription"),
    ("getSystemUris", "tds:GetSystemUris"),
];

/// A walk that is over.
pub struct Walk {
    pub results: Vec<Value>,
    pub received: Vec<u8>,
}

/// Lets a script walk a house; none where the clients are not installed.
pub fn walk(house: &House, folder: &str, program: &str, script: &str) -> Option<Walk> {
    walk_by(&ready_file(house), folder, (program, script), |mut it| it.output())
}

/// Lets a script walk what a ready file tells of; `run` says where it runs. None where the clients are not installed.
pub fn walk_by(
    ready_file: &Value,
    folder: &str,
    (program, script): (&str, &str),
    run: impl FnOnce(Command) -> io::Result<Output>,
) -> Option<Walk> {
    let Some(clients) = std::env::var_os(CLIENTS_VARIABLE).map(PathBuf::from) else {
        crate::skips::skipped(&format!(
            "{CLIENTS_VARIABLE} is not set; run tests/run, which installs the clients"
        ));
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready.json");
    fs::write(&ready, ready_file.to_string()).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let mut command = Command::new(clients.join(program));
    command.args([&scripts.join(script), &ready, &dir.path().join(folder)]);
    command.env("NODE_PATH", clients.join("node/node_modules"));
    let output = run(command).unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = fs::read_to_string(dir.path().join(folder).join("results.jsonl")).unwrap();
    let results = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Some(Walk { results, received: fs::read(dir.path().join(folder).join("received")).unwrap() })
}

fn ready_file(house: &House) -> Value {
    let client = |(name, password): (&str, &str), role: &str| json!({ "name": name, "role": role, "password": password });
    let camera = |(door, plan): (usize, &Plan)| json!({ "name": plan.name, "xaddr": format!("http://{}/onvif/device_service", house.door(door)) });
    json!({
        "clients": [client(ADMIN, "Administrator"), client(OPERATOR, "Operator"), client(VIEWER, "User")],
        "cameras": house.plans().iter().enumerate().map(camera).collect::<Vec<_>>(),
    })
}

/// Whether ONVIF's default lets a role use an operation (Core §5.9.4.3).
pub fn role_may(tables: &Tables, role: &str, operation: &str) -> bool {
    let id = tables.operation_by_name(operation).unwrap_or_else(|| panic!("no operation {operation}"));
    let class = tables.operation(id).unwrap().class.unwrap();
    match role {
        "Administrator" => class != AccessClass::NotForClients,
        "Operator" => !matches!(
            class,
            AccessClass::ReadSystemSecret
                | AccessClass::WriteSystem
                | AccessClass::Unrecoverable
                | AccessClass::NotForClients
        ),
        _ => matches!(class, AccessClass::PreAuth | AccessClass::ReadSystem | AccessClass::ReadMedia),
    }
}

/// Why one call of a walk may fail: the word its fault must hold. None means that it must succeed.
fn expected_fault(
    tables: &Tables,
    offered: &BTreeSet<String>,
    result: &Value,
    operation: &str,
) -> Option<&'static str> {
    let role = result["role"].as_str().unwrap();
    let restricted = result["camera"] == "car-park" && FORBIDDEN_WHERE_RESTRICTED.contains(&operation);
    let forbidden = FORBIDDEN.iter().any(|(it, roles)| *it == operation && roles.contains(&role));
    if restricted || forbidden {
        Some("OperationProhibited")
    } else if !role_may(tables, role, operation) {
        Some("NotAuthorized")
    } else if ANSWERED_BY_THE_GATEWAY.contains(&operation) {
        None
    } else if !offered.contains(operation) {
        Some("ActionNotSupported")
    } else {
        None
    }
}

/// Nothing of the cameras' side is in what a client received, and nothing of the clients' in what cameras did.
fn nothing_crossed(house: &House, walk: &Walk) {
    let received = String::from_utf8_lossy(&walk.received);
    assert!(received.len() > 100_000, "the walk received {} bytes", received.len());
    for secret in CAMERA_SIDE {
        assert!(!received.contains(secret), "a client received `{secret}`");
    }
    let doors = [house.door(CAR_PARK), house.door(LOBBY)].map(|door| door.to_string());
    let of_clients = [ADMIN, OPERATOR, VIEWER].into_iter().flat_map(|(name, password)| [name, password]);
    let of_core: Vec<&str> =
        of_clients.chain(doors.iter().map(String::as_str)).chain(["127.0.0.1"]).collect();
    let heard = house.heard();
    assert!(heard.len() > 100, "the cameras heard {} requests", heard.len());
    for request in heard {
        let text = format!("{} {:?} {}", request.target, request.headers, request.body);
        for secret in &of_core {
            assert!(!text.contains(secret), "a camera received `{secret}` with {:?}", request.operation);
        }
    }
}

/// A restricted camera never hears of a time server; an unrestricted one does, from an administrator.
fn time_servers_are_kept_from_the_restricted(house: &mut House, server: &str) {
    assert!(
        !house.operations(CAR_PARK).iter().any(|it| it == "tds:SetNTP"),
        "the restricted camera heard SetNTP"
    );
    let heard = house.camera(LOBBY).log();
    let told: Vec<_> =
        heard.iter().filter(|it| it.operation.as_deref() == Some("tds:SetNTP") && it.status == 200).collect();
    assert_eq!(told.len(), 1, "SetNTP of the administrator, and of nobody else");
    assert!(told[0].body.contains(server), "{}", told[0].body);
    let records = house.records();
    let refused = records.iter().find(|it| {
        it["operation"] == "tds:SetNTP" && it["camera"] == "car-park" && it["who"]["name"] == ADMIN.0
    });
    let refused = refused.expect("the refusal is on record");
    assert_eq!(refused["decision"], "denied");
    assert!(refused["policies"].as_array().unwrap().contains(&json!("restricted.egress")), "{refused}");
    assert_eq!(refused["destinations"], json!([format!("declared {server}")]));
    house.stop();
    let report = audit::verify(&house.audit_dir(), None, None).unwrap();
    eprintln!("{report}");
}

fn offered(house: &House) -> BTreeSet<String> {
    house.camera(LOBBY).operations().into_iter().collect()
}

#[test]
fn onvif_zeep_walks_clean() {
    let mut house = House::open();
    let Some(walk) = walk(&house, "zeep", "python/bin/python", "walk.py") else { return };
    let tables = Tables::embedded().unwrap();
    let offered = offered(&house);
    let mut wrong = Vec::new();
    let mut called = BTreeSet::new();
    for result in &walk.results {
        let name = result["operation"].as_str().unwrap();
        let operation = match result["service"].as_str().unwrap() {
            "devicemgmt" => format!("tds:{name}"),
            "media" => format!("trt:{name}"),
            "ptz" => format!("tptz:{name}"),
            "events" => format!("tev:{name}"),
            _ => {
                if result["result"] != "ok" {
                    wrong.push(result.to_string());
                }
                continue;
            }
        };
        let as_it_should =
            match (result["result"].as_str().unwrap(), expected_fault(&tables, &offered, result, &operation))
            {
                ("ok", None) => true,
                ("no-argument", Some("ActionNotSupported" | "NotAuthorized")) => {
                    !offered.contains(&operation)
                }
                ("fault", Some(expected)) => result["subcodes"] == json!([expected]),
                _ => false,
            };
        if !as_it_should {
            wrong.push(result.to_string());
        }
        called.insert(operation);
    }
    assert!(wrong.is_empty(), "{} of {} calls:\n{}", wrong.len(), walk.results.len(), wrong.join("\n"));
    let walked = ["tds:Get", "trt:Get", "tptz:Get", "tev:Get"];
    let of_its_services = |it: &&String| walked.iter().any(|kind| it.starts_with(kind));
    let missed: Vec<_> = offered
        .iter()
        .filter(of_its_services)
        .filter(|it| !called.contains(*it) && !NEWER_THAN_ZEEP.contains(&it.as_str()))
        .collect();
    assert!(missed.is_empty(), "reads the cameras offer and the client did not call: {missed:?}");
    eprintln!("onvif-zeep: {} calls of {} operations", walk.results.len(), called.len());
    nothing_crossed(&house, &walk);
    time_servers_are_kept_from_the_restricted(&mut house, "203.0.113.123");
}

#[test]
fn agsh_onvif_walks_clean() {
    let mut house = House::open();
    let Some(walk) = walk(&house, "agsh", "node/bin/node", "walk.js") else { return };
    let tables = Tables::embedded().unwrap();
    let offered = offered(&house);
    let mut wrong = Vec::new();
    for result in &walk.results {
        let call = result["operation"].as_str().unwrap();
        let operation = AGSH_CALLS.iter().find(|(name, _)| *name == call).map(|(_, operation)| *operation);
        let expected = operation.and_then(|it| expected_fault(&tables, &offered, result, it));
        if (result["result"] == "ok") == expected.is_some() {
            wrong.push(result.to_string());
        }
    }
    assert!(wrong.is_empty(), "{} of {} calls:\n{}", wrong.len(), walk.results.len(), wrong.join("\n"));
    eprintln!("agsh's onvif: {} calls", walk.results.len());
    nothing_crossed(&house, &walk);
    time_servers_are_kept_from_the_restricted(&mut house, "203.0.113.124");
}
