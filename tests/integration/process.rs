//! A gateway in a process of its own, with the configuration of a house.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use crate::house::{ADMIN, CAMERA_PASSWORD, LOBBY_ONLY, OPERATOR, VIEWER};

/// Ended with SIGKILL when dropped.
pub struct Running(Child);

impl Running {
    /// Starts the gateway with the configuration in a folder, and waits until it serves.
    pub fn start(dir: &Path) -> Self {
        let ready = dir.join("ready.json");
        let _ = fs::remove_file(&ready);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        command.arg("run").arg("--config").arg(dir.join("cordon.toml")).arg("--ready-file").arg(&ready);
        let passwords = [ADMIN.1, OPERATOR.1, VIEWER.1, LOBBY_ONLY.1, CAMERA_PASSWORD];
        // A secret is found under its own text.
        command.envs(passwords.map(|it| (it, it))).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Self(command.spawn().unwrap());
        while !ready.exists() {
            assert_eq!(running.0.try_wait().unwrap(), None, "the gateway does not start again");
            thread::yield_now();
        }
        running
    }

    /// Forgets the peak of its memory, and gives what it has now, in KiB (proc(5), `clear_refs` and `VmRSS`).
    pub fn reset_memory(&self) -> u64 {
        fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5").unwrap();
        self.memory("VmRSS:")
    }

    /// The peak of its memory since then, in KiB.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ends it as a service manager does.
    pub fn stop(mut self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
