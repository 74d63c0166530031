//! The log of a gateway carried elsewhere while it is written, by the command as it is installed.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use cordon::audit::verify;
use serde_json::Value;

use crate::{
    client::{self, tds},
    house::{ADMIN, CAR_PARK, House},
};

/// Ended with SIGKILL when dropped: an export must stand that.
struct Following(Child);

impl Following {
    fn start(log: &Path, mark: &Path, to: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        command.args(["audit", "export", "--follow"]).arg(log).arg("--mark").arg(mark).arg("--to").arg(to);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Waits until the mark says that so many lines have arrived: before that, some could come twice.
    fn wait(&mut self, mark: &Path, lines: u64) {
        let next = || {
            let mark: Value = serde_json::from_slice(&fs::read(mark).ok()?).unwrap();
            mark["next"].as_u64()
        };
        while next().is_none_or(|next| next < lines) {
            assert_eq!(self.0.try_wait().unwrap(), None, "the export ended");
            crate::house::breathe();
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The whole lines of the log in a file, without checkpoints.
fn arrived(to: &Path) -> Vec<String> {
    let text = fs::read_to_string(to).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter(|line| line.starts_with("{\"seq\":")).map(str::to_owned).collect()
}

fn written(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log.join("segment-0000000000000000.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_a_gateway_signs_arrives_once_while_it_goes_on_and_the_export_is_killed() {
    let (mut house, elsewhere) = (House::open(), tempfile::tempdir().unwrap());
    let [mark, to] = ["mark", "copy.jsonl"].map(|name| elsewhere.path().join(name));
    let log = house.audit_dir();
    let mut following = Following::start(&log, &mark, &to);
    for round in 0..3 {
        for _ in 0..=round {
            assert_eq!(client::ask(house.door(CAR_PARK), "device", ADMIN, &tds("GetHostname")).status, 200);
        }
        // Stopping signs what there is, and starting signs that.
        house.restart();
        let signed = verify(&log, None, None).unwrap().signed;
        following.wait(&mark, signed);
        if round == 1 {
            drop(following);
            following = Following::start(&log, &mark, &to);
        }
    }
    house.stop();
    following.wait(&mark, verify(&log, None, None).unwrap().lines);
    assert_eq!(arrived(&to), written(&log));
    let notes = fs::read_to_string(&to).unwrap().matches("{\"type\":\"checkpoint\",\"note\":\"").count();
    assert!(notes >= 4, "{notes} checkpoints left the machine");
}
