//! A forwarder that cuts connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::device::Listener;

/// Forwards connections to a device and cuts each after a number of bytes.
pub(crate) struct Scissors {
    pub(crate) address: String,
    cuts: Arc<AtomicUsize>,
}

impl Scissors {
    /// `lengths` are those of the first connections; later ones are whole.
    pub(crate) fn before(listener: &Listener, lengths: &[usize]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap().to_string();
        let (to, cuts) = (listener.address(), Arc::new(AtomicUsize::new(0)));
        let lengths = lengths.to_vec();
        let counter = Arc::clone(&cuts);
        thread::spawn(move || {
            let mut lengths = lengths.into_iter();
            while let Ok((caller, _)) = port.accept() {
                let Ok(called) = TcpStream::connect(&to) else { continue };
                let left = Arc::new(Mutex::new(lengths.next()));
                for (from, to) in [(&caller, &called), (&called, &caller)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (left, counter) = (Arc::clone(&left), Arc::clone(&counter));
                    thread::spawn(move || pass(from, to, &left, &counter));
                }
            }
        });
        Self { address, cuts }
    }

    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, left: &Mutex<Option<usize>>, cuts: &AtomicUsize) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let mut left = left.lock().unwrap();
        let allowed = left.map_or(count, |left| left.min(count));
        if to.write_all(&bytes[..allowed]).is_err() {
            break;
        }
        if let Some(left) = &mut *left {
            *left -= allowed;
            if *left == 0 && allowed < count {
                cuts.fetch_add(1, Ordering::Relaxed);
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
