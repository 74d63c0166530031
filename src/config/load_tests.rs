use std::os::unix::fs::PermissionsExt;

use super::*;

const EXAMPLE: &str = include_str!("../../config/cordon.example.toml");

fn try_text(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("secrets")).unwrap();
    for (name, mode) in [("gate", 0o600), ("vms", 0o640), ("open", 0o644)] {
        let path = dir.path().join("secrets").join(name);
        fs::write(&path, format!("{name}-secret\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let path = dir.path().join("cordon.toml");
    fs::write(&path, text).unwrap();
    load(&path, &|_| None)
}

#[test]
fn the_example_loads() {
    let loaded = try_text(EXAMPLE).unwrap();
    let camera = loaded.inventory.cameras().next().unwrap();
    assert_eq!(
        (camera.advertise.as_str(), camera.address.to_string().as_str()),
        ("127.0.0.1:8081", "192.0.2.10:80")
    );
    assert_eq!(loaded.logins.values().next().unwrap().password.expose(), "gate-secret");
    assert_eq!(loaded.warnings, []);
}

#[test]
fn every_error_is_told_at_once_with_its_remedy() {
    for (from, to, line) in [
        ("{ file = \"secrets/gate\" }", "\"12345\"", "must not stand in the configuration"),
        ("secrets/gate", "secrets/open", "run chmod 600"),
        ("192.0.2.10\"", "cam.local\"", "names are not dialled"),
        ("\"namespace\"\n", "\"vlan\"\n", "write \"namespace\""),
        ("zone = \"restricted\"", "zone = \"lost\"", "names zone `lost`"),
        ("cameras = [\"gate\"]", "cameras = [\"yard\"]", "there is no camera `yard`"),
        ("[admin]", "[[absorb]]\n[admin]", "not built yet"),
        ("127.0.0.1:9080", "0.0.0.0:9080", "loopback only"),
        ("mac = ", "mack = ", "unknown field `mack`"),
    ] {
        let errors = try_text(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
        let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(text.contains(line), "{to}: {text}");
        assert!(errors.iter().all(|error| !error.render().contains("gate-secret")));
    }
    let two = EXAMPLE.replace("10.1.0.0/16", "10.1").replace("\"Operator\"", "\"Boss\"");
    assert!(try_text(&two).unwrap_err().len() >= 3);
}

#[test]
fn a_restricted_camera_without_isolation_is_a_warning() {
    let loaded = try_text(&EXAMPLE.replace("isolation = \"namespace\"", "isolation = \"none\"")).unwrap();
    let message = &loaded.warnings[0].message;
    assert_eq!(message, "restricted camera `gate` hangs in a zone without isolation");
}
