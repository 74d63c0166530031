//! `cordon demo`, as somebody tries it.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use cordon::clock::{Clock, SystemClock};
use serde_json::Value;

/// Ended when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_cameras_of_the_demo_are_found_by_who_looks_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let (place, ready) = (dir.path().join("demo"), dir.path().join("ready.json"));
    let said = fs::File::create(dir.path().join("said")).unwrap();
    let program = env!("CARGO_BIN_EXE_cordon");
    let mut command = Command::new(program);
    command.arg("demo").arg("--dir").arg(&place).arg("--ready-file").arg(&ready);
    let _demo = Demo(command.stdout(said).stderr(Stdio::null()).spawn().unwrap());
    let clock = SystemClock::new();
    let in_time =
        |what: &dyn std::fmt::Debug| assert!(clock.monotonic() < Duration::from_secs(60), "{what:?}");
    while !ready.exists() {
        in_time(&"it does not start");
        crate::house::breathe();
    }
    let found = || -> Vec<(String, String)> {
        let mut command = Command::new(program);
        command.args(["camera", "discovered", "--json", "--config"]).arg(place.join("cordon.toml"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let told = |row: &Value| {
            let of = |it: &Value| it.as_str().unwrap_or_default().to_owned();
            (of(&row["enrolled"][0]), of(&row["vendor"]))
        };
        rows.iter().map(told).collect()
    };
    let expected = [("car-park", "hikvision"), ("gate", "dahua"), ("hall", "bosch"), ("lobby", "axis")];
    let expected = expected.map(|(name, vendor)| (name.to_owned(), vendor.to_owned()));
    loop {
        let mut found = found();
        found.sort();
        if found == expected {
            break;
        }
        in_time(&found);
        crate::house::breathe();
    }
    let shown = fs::read_to_string(dir.path().join("said")).unwrap();
    assert!(shown.contains("camera discovered --config"), "{shown}");
}
