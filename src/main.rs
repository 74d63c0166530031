//! The `cordon` command: see `cordon --help`.

fn main() -> std::process::ExitCode {
    cordon::cmd::main()
}
