//! A child process that can be signalled by its id and that never outlives the test process.
//!
//! A shell stands between: it starts the program, tells its process id, and waits for it. Its standard input is a pipe
//! that only the test process holds, so when the test process goes, however it goes, a reader in the shell sees the end
//! of it and ends the program. The shell alone reaps the program, so the id stays valid as long as the shell runs.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::patience::within;

/// `$0` is the file for the output, `$1` what ends the program's surroundings (may be empty), then the program.
const SHELL: &str = r#"
log=$0; last=$1; shift
exec 3<&0
"$@" 3<&- </dev/null >>"$log" 2>&1 &
p=$!
echo "$p"
( read -r _ <&3; kill -9 "$p"; eval "$last" ) >/dev/null 2>&1 &
reader=$!
exec >/dev/null
wait "$p"; code=$?
kill -9 "$reader"
exit "$code"
"#;

/// A program under guard. Dropping it kills the program.
pub struct Guarded {
    shell: Child,
    /// Held open as long as the program may live; `Child::wait` would close it too early.
    _lifeline: Option<ChildStdin>,
    pid: u32,
    log: PathBuf,
}

/// What can be sent to a program.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// `kill -9`: no last words.
    Kill,
    /// A polite end.
    Terminate,
    /// Ctrl-C.
    Interrupt,
    /// Freeze.
    Stop,
    /// Go on after a freeze.
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

impl Guarded {
    /// Starts `program` with its output appended to `log`. `environment` is added to ours.
    pub fn start(program: &[String], environment: &[(String, String)], log: &Path) -> std::io::Result<Self> {
        Self::start_with_last_act(program, environment, log, "")
    }

    /// The same; `last_act` is a shell command that runs if the test process goes first.
    pub fn start_with_last_act(
        program: &[String],
        environment: &[(String, String)],
        log: &Path,
        last_act: &str,
    ) -> std::io::Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SHELL])
            .arg(log)
            .arg(last_act)
            .args(program)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What a shell says of a killed child is of no interest; the program's own words go to the log.
            .stderr(Stdio::null())
            // An own group: Ctrl-C at a terminal ends the test process, and the pipe's end then ends the program.
            .process_group(0)
            .spawn()?;
        let pid = read_pid(&mut shell)?;
        let lifeline = shell.stdin.take();
        Ok(Self { shell, _lifeline: lifeline, pid, log: log.to_owned() })
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything it wrote so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None))
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            let script = format!("kill -{} {}", signal.name(), self.pid);
            // It may have ended just now; whoever waits for it will see.
            let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
        }
    }

    /// Its end, if it comes within `limit`. A program ended by a signal has the code 128 + signal.
    pub fn end_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        within(limit, || self.shell.try_wait().ok().flatten())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
        // The shell ends as soon as it has reaped the program.
        let _ = self.shell.wait();
    }
}

fn read_pid(shell: &mut Child) -> std::io::Result<u32> {
    let mut line = String::new();
    if let Some(out) = shell.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    line.trim().parse().map_err(|_| std::io::Error::other("the shell did not tell the program's process id"))
}
