//! A home on a small disk of its own, which nobody else sees: a tmpfs in a mount namespace.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::process::Home;

/// A home on a file system of its own.
///
/// A shell lives in the namespace; what is to be done there is told to it.
pub struct Mounted {
    shell: RefCell<Shell>,
    folder: tempfile::TempDir,
}

struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// How a command ended.
pub struct Ended {
    pub code: i32,
    /// What it said on standard output and error.
    pub said: String,
}

impl Ended {
    #[track_caller]
    pub fn expect_success(&self) {
        assert_eq!(self.code, 0, "{}", self.said);
    }
}

impl Mounted {
    /// More than any test fills.
    pub const BYTES: u64 = 128 << 20;

    /// A disk with a copy of a home.
    pub fn with(home: &Home) -> Self {
        let mounted = Self { shell: RefCell::new(Shell::in_namespace()), folder: tempfile::tempdir().unwrap() };
        let at = mounted.path();
        mounted.must(&format!("mkdir {at} && mount -t tmpfs -o size={} tmpfs {at}", Self::BYTES));
        mounted.take_files(home.path());
        mounted
    }

    /// Where the home is, in the namespace.
    pub fn path(&self) -> String {
        format!("{}/home", self.folder.path().display())
    }

    /// Runs a `tamis` command to its end.
    pub fn tamis(&self, arguments: &str) -> Ended {
        self.tell(&format!(
            "TAMIS_PEPPER=pepper {} --json --home {} {arguments} </dev/null",
            env!("CARGO_BIN_EXE_tamis"),
            self.path()
        ))
    }

    /// Copies topics into the home, as far as there is room.
    pub fn take(&self, home: &Path) {
        self.take_files(home);
    }

    /// Gives the disk another size; what is used of it stays.
    pub fn resize(&self, bytes: u64) {
        self.resize_folder("", bytes);
    }

    /// How many bytes of the disk are used.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes_in("")
    }

    /// Puts a folder of the home on a disk of its own that has room for so many bytes more.
    pub fn put_apart(&self, folder: &str, room_bytes: u64) {
        let at = format!("{}/{folder}", self.path());
        self.must(&format!(
            "mkdir {at}.apart && mount -t tmpfs -o size={} tmpfs {at}.apart && cp -a {at}/. {at}.apart && mount --move \
             {at}.apart {at} && rmdir {at}.apart",
            Self::BYTES
        ));
        self.resize_folder(folder, self.used_bytes_in(folder) + room_bytes);
    }

    /// Gives a folder that was put apart room again.
    pub fn give_room(&self, folder: &str) {
        self.resize_folder(folder, Self::BYTES);
    }

    /// Nothing can be written below a folder of the home.
    pub fn make_read_only(&self, folder: &str) {
        let at = format!("{}/{folder}", self.path());
        self.must(&format!("mount --bind {at} {at} && mount -o remount,ro,bind {at}"));
    }

    /// Undoes [`Self::make_read_only`].
    pub fn make_writable(&self, folder: &str) {
        self.must(&format!("umount {}/{folder}", self.path()));
    }

    /// The home as it is now, where everybody sees it.
    pub fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        self.must(&format!("cp -a {}/. {}", self.path(), copy.path().display()));
        copy
    }

    /// A tmpfs of no bytes at all is one without bounds, so it gets a page.
    fn resize_folder(&self, folder: &str, bytes: u64) {
        self.must(&format!("mount -o remount,size={} {}/{folder}", bytes.max(4096), self.path()));
    }

    fn used_bytes_in(&self, folder: &str) -> u64 {
        let said = self.must(&format!("df --block-size=1 --output=used {}/{folder} | tail -n 1", self.path()));
        said.trim().parse().unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    fn take_files(&self, folder: &Path) {
        self.must(&format!("cp -a {}/. {}", folder.display(), self.path()));
    }

    #[track_caller]
    fn must(&self, line: &str) -> String {
        let ended = self.tell(line);
        assert_eq!(ended.code, 0, "{line}: {}", ended.said);
        ended.said
    }

    /// Has the shell run a line.
    fn tell(&self, line: &str) -> Ended {
        let said = self.folder.path().join("said");
        let code = self.shell.borrow_mut().run(&format!("{{ {line} ; }} >{} 2>&1", said.display()));
        Ended { code, said: std::fs::read_to_string(said).unwrap() }
    }
}

impl Shell {
    /// A shell in a mount namespace of its own: as root, else as somebody who is root in there.
    fn in_namespace() -> Self {
        let mut refusals = Vec::new();
        for flags in ["-m", "-rm"] {
            let mut command = Command::new("unshare");
            command.args([flags, "sh"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            match command.spawn() {
                Ok(mut child) => {
                    let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                    let mut shell = Self { child, input, output: BufReader::new(output) };
                    // Not every machine that gives a namespace lets one mount in it.
                    match shell.try_run("mount -t tmpfs tmpfs /mnt && umount /mnt") {
                        Ok(0) => return shell,
                        refusal => refusals.push(format!("unshare {flags}: {refusal:?}")),
                    }
                }
                Err(error) => refusals.push(format!("unshare {flags}: {error}")),
            }
        }
        panic!(
            "this machine gives no mount namespace, and without one a full disk cannot be tested: run the tests as \
             root, or allow user namespaces (kernel.unprivileged_userns_clone) ({})",
            refusals.join("; ")
        )
    }

    fn run(&mut self, line: &str) -> i32 {
        self.try_run(line).unwrap_or_else(|error| panic!("{line}: the shell: {error}"))
    }

    fn try_run(&mut self, line: &str) -> std::io::Result<i32> {
        writeln!(self.input, "{line}\necho $?")?;
        let mut code = String::new();
        self.output.read_line(&mut code)?;
        code.trim().parse().map_err(|_| std::io::Error::other(format!("it answered {code:?}")))
    }
}

/// With the shell the namespace goes, and the disk.
impl Drop for Shell {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
