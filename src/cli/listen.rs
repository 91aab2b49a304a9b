//! `cosign listen`: answers other devices.

use std::sync::Arc;

use serde_json::json;

use crate::cli::approver::{Person, Rules};
use crate::cli::args::ListenArgs;
use crate::cli::builds::Builds;
use crate::cli::ceremony::{Choice, Setup, until_ended};
use crate::cli::inventory::inventory;
use crate::cli::output::Body;
use crate::cli::{Global, Output, discover, keygen, pair, sign};
use crate::driver::error::Error;
use crate::driver::listen::{Done, Listener, Place, serve_stdio};
use crate::policy::Policy;
use crate::progress::Event;
use crate::report::{self, Code, Failure};
use crate::ui::Need;

/// `cosign listen`
pub(super) fn run_listen(global: &Global, args: ListenArgs) -> Result<Output, Failure> {
    let ListenArgs { port, bind, once, policy, no_blind, builds, stdio, interface, relay } = args;
    let builds = builds.map(Builds::new).transpose()?;
    if stdio && global.args.json {
        return Err(Failure::new(Code::Usage, "--stdio and --json both want standard output")
            .hint("use --events: they go to standard error"));
    }
    let mut global = global.clone();
    if stdio {
        // Standard input carries the link, so questions go to the controlling terminal.
        global.prompter = global.prompter.at("/dev/tty");
    }
    let global = &global;
    // Only a person can pair a new device.
    let makes = policy.is_none();
    let person = Person::new(global.prompter.clone(), builds);
    let approver: Choice = match policy {
        Some(path) => {
            let policy = Policy::load(&path, &crate::cli::given::home(global)?)?;
            let screen = global.screen.clone();
            Box::new(move |home| {
                let rules = Rules::new(policy.at(home), person, screen);
                rules.watched()?;
                Ok(Arc::new(rules))
            })
        }
        None if global.prompter.can_ask() => Box::new(|_| Ok(Arc::new(person))),
        None => return Err((&Need::Approval).into()),
    };
    let place = Place { bind, port, stdio };
    let refuses_blind = no_blind || global.args.no_blind;
    let setup = Setup { interface, relay: relay.url, makes, refuses_blind, ..Setup::default() };
    let served = until_ended(global, Some(approver), setup, |node| async move {
        if place.stdio {
            serve_stdio(&node).await?;
            // Standard output carried the link, so nothing is printed there.
            return Output::with_body((), Body::Nothing);
        }
        let listener = Listener::open(&node, &place).await?;
        let mut visits = listener.serve(&node);
        let watch = async {
            match global.fills() {
                // Discovery runs only for the full screen.
                true => discover::watch(&node).await,
                false => std::future::pending().await,
            }
        };
        tokio::pin!(watch);
        let mut answered: Option<Result<Output, Failure>> = None;
        loop {
            // An unreadable file does not end the listener.
            node.tell(
                inventory(&node).unwrap_or_else(|failure| Event::Note { message: failure.message }),
            );
            let visit = async {
                match node.deadline {
                    None => Ok(visits.recv().await),
                    Some(deadline) => tokio::time::timeout_at(deadline.into(), visits.recv()).await,
                }
            };
            let visit = tokio::select! {
                visit = visit => visit,
                () = &mut watch => continue,
            };
            let Ok(Some(visit)) = visit else {
                return answered.unwrap_or_else(|| match visit {
                    Ok(_) => Err(report::bug("the listener stopped")),
                    Err(_) if once => Err(report::nobody_came()),
                    // The end of --timeout is success for a listener.
                    Err(_) => Output::new(json!({}), ""),
                });
            };
            // A failed visit was reported when it happened; the listener goes on. Visits that have
            // ended by now are handled together.
            let mut visit = Some(visit);
            while let Some(ended) = visit {
                if once && answered.is_none() && ended.is_answered() {
                    // Running ceremonies finish before the process exits.
                    visits.last();
                    answered = Some(output(ended.result));
                }
                visit = visits.try_recv();
            }
        }
    });
    match served? {
        Some(output) => Ok(output),
        // No request was answered before the signal.
        None if once => Err(report::interrupted()),
        None => Output::new(json!({}), ""),
    }
}

fn output(done: Result<Done, Error>) -> Result<Output, Failure> {
    match done? {
        Done::Paired(pairing) => pair::output(&pairing),
        Done::Key(made) => keygen::output(&made),
        Done::Signed(outcome) => sign::output(&outcome),
    }
}
