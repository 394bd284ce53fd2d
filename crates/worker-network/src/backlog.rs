//! How much a socket has received that the process has not read yet.

use std::os::fd::RawFd;

use procfs::process::{FDTarget, Process};

/// Where the kernel shows the receive queue of one ICMP socket.
#[derive(Debug)]
pub(crate) struct Backlog {
    inode: u64,
}

/// The tables that list raw and datagram ICMP sockets (`proc_pid_net(5)`).
const TABLES: [&str; 4] = ["raw", "raw6", "icmp", "icmp6"];

impl Backlog {
    /// The backlog of a socket of this process; `None` where `/proc` does not show it.
    pub(crate) fn of(socket: RawFd) -> Option<Self> {
        let descriptor = Process::myself().and_then(|process| process.fd_from_fd(socket));
        match descriptor.ok()?.target {
            FDTarget::Socket(inode) => Some(Self { inode }),
            _ => None,
        }
    }

    /// Bytes of memory that unread packets take, as they count against the receive buffer.
    pub(crate) fn bytes(&self) -> Option<u64> {
        TABLES.iter().find_map(|table| {
            let text = std::fs::read_to_string(format!("/proc/self/net/{table}")).ok()?;
            unread(&text, self.inode)
        })
    }
}

/// The receive queue of a socket in one of the tables.
fn unread(table: &str, inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_sent, received) = columns.get(4)?.split_once(':')?;
        let is_it = columns.get(9) == Some(&inode.as_str());
        is_it
            .then(|| u64::from_str_radix(received, 16).ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receive_queue_is_found_by_the_inode() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
   11: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 414200 2 00000000aa6779f3 0
  103: 00000000:0001 00000000:0000 07 00000000:0002A800 00:00000000 00000000     0        0 426105 2 00000000aa6779f3 7
";
        assert_eq!(unread(table, 414_200), Some(0));
        assert_eq!(unread(table, 426_105), Some(0x2_a800));
        assert_eq!(unread(table, 7), None);
        assert_eq!(unread("", 7), None);
    }
}
