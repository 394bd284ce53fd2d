//! Which process holds which socket: the links under `/proc/PID/fd`.

use std::collections::{HashMap, hash_map::Entry};

use procfs::ProcError;
use procfs::process::{FDTarget, Process, all_processes};
use tokio_util::sync::CancellationToken;

use super::Socket;
use crate::Error;

/// The holders of sockets by the sockets' inode numbers.
#[derive(Debug, Default)]
pub(super) struct Owners {
    by_inode: HashMap<u64, Owner>,
    /// Processes that this one may not look into.
    n_hidden: usize,
}

#[derive(Debug, Clone)]
struct Owner {
    pid: i32,
    program: String,
}

impl Owners {
    /// Looks into every process that there is and that may be looked into.
    ///
    /// Processes come and go meanwhile, so one that cannot be found any more is passed over.
    pub(super) fn read(abandoned: &CancellationToken) -> Result<Self, Error> {
        let processes = all_processes().map_err(|source| Error::Proc {
            what: "the processes",
            source,
        })?;
        let mut owners = Self::default();
        for process in processes.flatten() {
            if abandoned.is_cancelled() {
                break;
            }
            match sockets_of(&process) {
                Ok(inodes) if inodes.is_empty() => {}
                Ok(inodes) => owners.add(&process, inodes),
                Err(ProcError::PermissionDenied(_)) => owners.n_hidden += 1,
                Err(_) => {}
            }
        }
        Ok(owners)
    }

    fn add(&mut self, process: &Process, inodes: Vec<u64>) {
        let Ok(stat) = process.stat() else {
            return;
        };
        for inode in inodes {
            let owner = Owner {
                pid: stat.pid,
                program: stat.comm.clone(),
            };
            match self.by_inode.entry(inode) {
                Entry::Vacant(vacant) => {
                    vacant.insert(owner);
                }
                // A socket handed on to children belongs to the parent, which usually has the
                // lowest number.
                Entry::Occupied(mut occupied) => {
                    if owner.pid < occupied.get().pid {
                        occupied.insert(owner);
                    }
                }
            }
        }
    }

    /// Fills in process and program, and says so when they stay unknown.
    pub(super) fn name(&self, sockets: &mut [Socket]) -> Option<String> {
        let mut n_unknown = 0;
        for socket in sockets {
            match self.by_inode.get(&socket.inode) {
                // Sockets that only wait for their end have no inode, and no process.
                _ if socket.inode == 0 => {}
                Some(owner) => {
                    socket.pid = Some(owner.pid);
                    socket.program = Some(owner.program.clone());
                }
                None => n_unknown += 1,
            }
        }
        (n_unknown > 0).then(|| {
            format!(
                "no pid and program for {n_unknown} of these sockets: they belong to the kernel or \
                 to processes that the worker cannot look into ({} it may not, and those of other \
                 process namespaces); the operator can give the worker the capability SYS_PTRACE \
                 and the host's process namespace",
                self.n_hidden
            )
        })
    }
}

fn sockets_of(process: &Process) -> Result<Vec<u64>, ProcError> {
    let mut inodes = Vec::new();
    for descriptor in process.fd()? {
        match descriptor {
            Ok(descriptor) => {
                if let FDTarget::Socket(inode) = descriptor.target {
                    inodes.push(inode);
                }
            }
            Err(error @ ProcError::PermissionDenied(_)) => return Err(error),
            // A descriptor that was closed meanwhile is no loss.
            Err(_) => {}
        }
    }
    Ok(inodes)
}
