//! What nmap may do on this host, as far as it can be told without starting it.

use std::path::{Path, PathBuf};

use rustix::thread::{CapabilitySet, capabilities, capability_is_in_bounding_set, no_new_privs};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Error;

/// Where an executable is looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Extended attribute with the capabilities of a file.
const FILE_CAPABILITIES: &str = "security.capability";
/// The capability `NET_RAW` in the lower half of a set (`linux/capability.h`).
const NET_RAW: u32 = 1 << 13;

/// The program nmap, and whether it may use raw sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nmap {
    /// Where it is.
    pub program: PathBuf,
    /// Why it may not use them, if so.
    pub raw_sockets: Result<(), String>,
}

impl Nmap {
    /// Looks for the program, a name in `PATH` or a path, and starts nothing.
    ///
    /// # Errors
    /// [`Error::NotInstalled`].
    pub fn find(name: &Path) -> Result<Self, Error> {
        let program = locate(name).ok_or_else(|| Error::NotInstalled {
            program: name.display().to_string(),
        })?;
        let raw_sockets = raw_sockets(&program);
        Ok(Self {
            program,
            raw_sockets,
        })
    }
}

fn locate(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return is_executable(name).then(|| name.to_owned());
    }
    // Which programs there are is the operating system's setting, not one of ours.
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| is_executable(program))
}

fn is_executable(program: &Path) -> bool {
    program.is_file() && rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Whether a process that runs this program would have the capability `NET_RAW`
/// (capabilities(7), "Transformation of capabilities during `execve()`").
fn raw_sockets(program: &Path) -> Result<(), String> {
    if !capability_is_in_bounding_set(CapabilitySet::NET_RAW).unwrap_or(false) {
        return Err("this process and its children are denied the capability NET_RAW".to_owned());
    }
    let own = capabilities(None).map_err(|error| format!("capabilities are unknown: {error}"))?;
    if own.effective.contains(CapabilitySet::NET_RAW) {
        // The capability is good in the user namespace of this process only, and the network may
        // be another one's, as in some containers.
        return Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))
            .map(drop)
            .map_err(|error| {
                format!("a raw socket is refused in spite of the capability NET_RAW: {error}")
            });
    }
    // Root gets all that the bounding set leaves; others hand on what they hold (see `process`).
    if rustix::process::geteuid().is_root() || own.permitted.contains(CapabilitySet::NET_RAW) {
        return Ok(());
    }
    let by_file = file_capabilities(program) && !no_new_privs().unwrap_or(true);
    by_file
        .then_some(())
        .ok_or_else(|| "neither the worker nor nmap has the capability NET_RAW".to_owned())
}

/// Whether the file itself brings the capability `NET_RAW` along.
fn file_capabilities(program: &Path) -> bool {
    // Little-endian: a word with version and flags, then the lower half of what is permitted
    // (`struct vfs_cap_data`).
    let mut data = [0; 24];
    match rustix::fs::getxattr(program, FILE_CAPABILITIES, &mut data) {
        Ok(length) if length >= 8 => {
            let permitted = u32::from_le_bytes([data[4], data[5], data[6], data[7]]);
            permitted & NET_RAW != 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        assert!(locate(Path::new("sh")).unwrap().is_absolute());
        assert_eq!(locate(Path::new("/bin/sh")), Some("/bin/sh".into()));
        for absent in ["no-such-program", "/no/such/program", "/etc/passwd", "/etc"] {
            let error = Nmap::find(Path::new(absent)).unwrap_err();
            assert!(error.to_string().contains(absent), "{error}");
            assert!(error.hint().unwrap().contains("apt-get install nmap"));
        }
    }
}
