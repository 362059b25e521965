//! Free TCP ports on loopback.

use std::net::{Ipv4Addr, TcpListener};

/// `N` ports that were free a moment ago, all different: the listeners that found them are held until all are found.
/// Another process may still be quicker, which is why starting a part is tried more than once.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback"));
    listeners.map(|listener| listener.local_addr().expect("a bound listener has an address").port())
}
