//! Links over the standard input and output of other programs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::io::Read;
use std::time::Duration;

use cosign::device::Fingerprint;
use cosign::net::stdio::{LINES, dial_via, own_stdio};
use cosign::net::tls::{Device, Expect, Tls, TlsVersion};
use cosign::net::{Frame, Kind, Link, LinkError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);

fn tls() -> (Tls, Fingerprint) {
    let device = Device::generate().unwrap();
    (Tls::new(&device, TlsVersion::Any).unwrap(), device.fingerprint)
}

/// Not a test of its own: the device at the far end, which answers every frame with its double.
#[test]
fn the_far_end() {
    if std::env::var_os("COSIGN_TEST_FAR_END").is_none() {
        return;
    }
    // The test harness has written a line of its own by now.
    println!("\nREADY");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Ok(mut link) = tls().0.accept(own_stdio(), Expect::Anyone).await else { return };
        while let Ok(frame) = link.recv().await {
            link.send(Frame::new(frame.kind, frame.payload.repeat(2))).await.unwrap();
        }
        link.close().await;
    });
}

/// A shell pipeline that ends in the other process's own standard input and output.
fn far_end() -> String {
    let program = std::env::current_exe().unwrap();
    format!(
        "COSIGN_TEST_FAR_END=1 '{}' --exact the_far_end --nocapture \
         | {{ while read -r line && [ \"$line\" != READY ]; do :; done; exec cat; }}",
        program.display()
    )
}

#[tokio::test]
async fn a_command_that_reaches_another_process_carries_a_link() {
    let (tls, _) = tls();
    let io = dial_via(&far_end(), |_| ()).unwrap();
    let mut link = timeout(LONG, tls.connect(io, Expect::Anyone)).await.unwrap().unwrap();
    for length in [1, 1000, 400_000] {
        let frame = Frame::new(Kind::Protocol, vec![9; length]);
        link.send(frame).await.unwrap();
        let answer = timeout(LONG, link.recv()).await.unwrap().unwrap();
        assert_eq!(answer.payload, vec![9; 2 * length]);
    }
    link.close().await;
}

#[tokio::test]
async fn another_device_at_the_far_end_is_refused_as_over_tcp() {
    let ((tls, _), (_, expected)) = (tls(), tls());
    let io = dial_via(&far_end(), |_| ()).unwrap();
    let refused = timeout(LONG, tls.connect(io, Expect::Pinned(expected))).await.unwrap();
    assert!(matches!(refused, Err(LinkError::Identity { expected: e, .. }) if e == expected));
}

#[tokio::test]
async fn a_command_that_fails_closes_the_stream() {
    let (tls, _) = tls();
    for command in ["exit 3", "no-such-command-anywhere 2>&-"] {
        let io = dial_via(command, |_| ()).unwrap();
        let failed = tls.connect(io, Expect::Anyone).await.unwrap_err();
        assert_eq!(failed, LinkError::Lost);
    }
}

#[tokio::test]
async fn a_command_that_says_something_else_is_no_device() {
    let (tls, _) = tls();
    let io = dial_via("echo 'ssh: could not resolve hostname'; cat", |_| ()).unwrap();
    assert!(matches!(tls.connect(io, Expect::Anyone).await, Err(LinkError::Tls(_))));
}

#[tokio::test]
async fn bytes_pass_a_command_unchanged_and_shutting_ends_its_input() {
    let mut io = dial_via("cat", |_| ()).unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    io.write_all(&bytes).await.unwrap();
    io.shutdown().await.unwrap();
    let mut back = Vec::new();
    timeout(LONG, io.read_to_end(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, bytes);
}

#[tokio::test]
async fn a_dropped_stream_takes_its_command_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    // The command holds the pipe open for writing for as long as it lives.
    let io = dial_via(&format!("exec sleep 1000 3>'{}'", pipe.display()), |_| ()).unwrap();
    let (opened, is_open) = oneshot::channel();
    let (ended, has_ended) = oneshot::channel();
    std::thread::spawn(move || {
        let mut held = std::fs::File::open(&pipe).unwrap();
        opened.send(()).unwrap();
        ended.send(held.read_to_end(&mut Vec::new()).unwrap()).unwrap();
    });
    timeout(LONG, is_open).await.expect("not started").unwrap();
    drop(io);
    assert_eq!(timeout(LONG, has_ended).await.expect("still running"), Ok(0));
}

#[tokio::test]
async fn what_a_command_complains_of_is_cleaned_and_bounded() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let command = "printf 'a\\033[2Jb\\npassword: ' >&2; sleep 1; \
                   yes 'no such host' | head -n 1000 >&2; cat";
    let io = dial_via(command, move |line| tell.send(line.to_string()).unwrap()).unwrap();
    let mut lines = Vec::new();
    while let Ok(Some(line)) = timeout(Duration::from_secs(3), told.recv()).await {
        lines.push(line);
    }
    assert_eq!(lines[..3], ["a[2Jb", "password:", "no such host"]);
    assert_eq!(lines.len(), LINES);
    drop(io);
}
