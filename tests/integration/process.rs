//! A gateway in a process of its own, with the configuration of a house.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::house::{ADMIN, CAMERA_PASSWORD, LOBBY_ONLY, OPERATOR, VIEWER};

/// Runs `cordon policy` beside the configuration in a folder: whether it succeeded, and what it said.
pub fn policy(dir: &Path, arguments: &[&str]) -> (bool, String, String) {
    let mut command = cordon();
    command.current_dir(dir).arg("policy").args(arguments).args(["--config", "cordon.toml"]);
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.success(), out, err)
}

/// The program, with the secrets of a house's configuration: each is found under its own text.
fn cordon() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    let passwords = [ADMIN.1, OPERATOR.1, VIEWER.1, LOBBY_ONLY.1, CAMERA_PASSWORD];
    command.envs(passwords.map(|it| (it, it)));
    command
}

/// Ended with SIGKILL when dropped.
pub struct Running(Child);

impl Running {
    /// Starts the gateway with the configuration in a folder, and waits until it serves.
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// The same with options for the program as a whole.
    pub fn start_with(dir: &Path, options: &[&str]) -> Self {
        Self::started(dir, cordon(), options)
    }

    /// The same without options, with so many files that may be open: as usual, and at the most.
    pub fn start_with_files(dir: &Path, soft: u32, hard: u32) -> Self {
        let mut command = Command::new("prlimit");
        let program = cordon();
        command.arg(format!("--nofile={soft}:{hard}")).arg(program.get_program());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self::started(dir, command, &[])
    }

    /// How many files may be open in it (proc(5)).
    pub fn files_max(&self) -> u32 {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.0.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn started(dir: &Path, mut command: Command, options: &[&str]) -> Self {
        let ready = dir.join("ready.json");
        let _ = fs::remove_file(&ready);
        command
            .args(options)
            .arg("run")
            .arg("--config")
            .arg(dir.join("cordon.toml"))
            .arg("--ready-file")
            .arg(&ready);
        let said = File::create(dir.join(SAID)).unwrap();
        command.stdout(Stdio::null()).stderr(said);
        let mut running = Self(command.spawn().unwrap());
        while !ready.exists() {
            assert_eq!(running.0.try_wait().unwrap(), None, "the gateway does not start again");
            crate::house::breathe();
        }
        running
    }

    /// Its number among processes.
    pub fn id(&self) -> u32 {
        self.0.id()
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

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let kill = ["-s", name, &self.0.id().to_string()];
        assert!(Command::new("kill").args(kill).status().unwrap().success());
    }

    /// Ends it as a service manager does.
    pub fn stop(self) {
        assert_eq!(self.end(), Some(0));
    }

    /// The same; gives the exit code. What it said last stands in the file [`SAID`].
    pub fn end(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

/// The file in the folder of the configuration that holds what a gateway says on its error output.
pub const SAID: &str = "said.txt";

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
