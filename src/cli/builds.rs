//! `listen --builds`: whether the file that somebody asks to sign is one that this device has built.

use std::path::PathBuf;

use crate::policy::{Asked, FileAsked, folder};
use crate::progress::{Built, RequestView};
use crate::report::{Code, Failure, unreadable};
use crate::request::Question;
use crate::vault::given;

/// The folder of what this device has built. It is searched anew for each request.
#[derive(Clone, Debug)]
pub(super) struct Builds(PathBuf);

impl Builds {
    /// The builds in the folder at `path`.
    ///
    /// # Errors
    /// It is no folder, or others may put files into it.
    pub(super) fn new(path: PathBuf) -> Result<Self, Failure> {
        let named = format!("folder {}", path.display());
        given::check_folder(&path).map_err(|error| unreadable(error, &named))?;
        if !path.is_dir() {
            let why = format!("--builds {}: not a folder", path.display());
            return Err(Failure::new(Code::Usage, why));
        }
        Ok(Self(path))
    }

    /// Whether each file of a request is among the builds; empty if the request is for no file.
    fn look(&self, question: &Question) -> Vec<Built> {
        let files = Asked::from(question).files().unwrap_or_default();
        files.iter().map(|file| self.find(file)).collect()
    }

    fn find(&self, file: &FileAsked) -> Built {
        match folder::find(&self.0, file.size, file.hash, &file.digest) {
            Ok(Some(name)) => Built::Here { path: self.0.join(name).to_string_lossy().into() },
            Ok(None) => Built::Missing { not_in: self.0.to_string_lossy().into() },
            Err(error) => Built::Unknown { unknown: Failure::from(error).message },
        }
    }
}

/// The view of `question`, with what of it is among the builds, if there is a folder of them. Large
/// files take their time, in which others are served.
pub(super) async fn view(question: &Question, builds: Option<&Builds>) -> RequestView {
    let view = RequestView::of(question);
    let Some(builds) = builds.cloned() else { return view };
    let question = question.clone();
    let look = tokio::task::spawn_blocking(move || builds.look(&question));
    let unknown = |_| vec![Built::Unknown { unknown: "the search was stopped".to_owned() }];
    RequestView { built: look.await.unwrap_or_else(unknown), ..view }
}
