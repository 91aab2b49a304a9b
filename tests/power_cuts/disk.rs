//! What a disk may hold after the power failed, made from a record of what was done to it.
//!
//! POSIX says of a file that what was written survives once the file is synced, and of a name that it survives once its
//! folder is. Whatever is not synced may be there or not, each for itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cosign::vault::Effect;
use serde::{Deserialize, Serialize};

/// An [`Effect`] as it is kept in the record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Act {
    Made(PathBuf),
    Created(PathBuf),
    Written(PathBuf, u64, Vec<u8>),
    Cut(PathBuf, u64),
    Synced(PathBuf),
    Appeared(PathBuf, Vec<u8>),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

impl From<Effect<'_>> for Act {
    fn from(effect: Effect<'_>) -> Self {
        match effect {
            Effect::Made(path) => Self::Made(path.to_owned()),
            Effect::Created(path) => Self::Created(path.to_owned()),
            Effect::Written(path, at, bytes) => Self::Written(path.to_owned(), at, bytes.to_vec()),
            Effect::Cut(path, length) => Self::Cut(path.to_owned(), length),
            Effect::Synced(path) => Self::Synced(path.to_owned()),
            Effect::Appeared(path, bytes) => Self::Appeared(path.to_owned(), bytes.to_vec()),
            Effect::Renamed(from, to) => Self::Renamed(from.to_owned(), to.to_owned()),
            Effect::Removed(path) => Self::Removed(path.to_owned()),
        }
    }
}

impl Act {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Made(path)
            | Self::Created(path)
            | Self::Written(path, ..)
            | Self::Cut(path, _)
            | Self::Synced(path)
            | Self::Appeared(path, _)
            | Self::Renamed(path, _)
            | Self::Removed(path) => path,
        }
    }
}

/// What became of something that was done and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Kept,
    Lost,
    /// Half of what was written.
    Short,
    /// As long as it was to be, and nothing in it.
    Zeros,
    /// A file that was renamed has both names.
    Both,
}

/// A file or a folder, whatever its names are.
type Node = usize;
type Name = (Node, OsString);

#[derive(Debug)]
enum Step {
    Named { gains: Option<Name>, loses: Option<Name>, node: Node },
    Written { node: Node, at: usize, bytes: Vec<u8> },
    Cut { node: Node, length: usize },
    Synced(Node),
}

/// Everything that was done below a folder, in order.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Each with its place in the whole record.
    steps: Vec<(usize, Step)>,
    /// How many steps there must be for each to be certain.
    certain: Vec<usize>,
    folders: Vec<Node>,
}

/// What is below the folder, `None` for folders.
pub(crate) type Tree = BTreeMap<PathBuf, Option<Content>>;

/// A file, and the steps that wrote what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    node: Node,
    writes: Vec<(usize, Fate)>,
}

/// The folder itself, which was always there.
const ROOT: Node = 0;

impl Disk {
    /// Of the acts below `root`.
    pub(crate) fn new<'a>(root: &Path, acts: impl Iterator<Item = (usize, &'a Act)>) -> Self {
        let (mut names, mut folders) = (HashMap::<Name, Node>::new(), vec![ROOT]);
        let (mut steps, mut nodes) = (Vec::new(), 1);
        for (place, act) in acts {
            let name = |path: &Path, names: &HashMap<Name, Node>| -> Name {
                let below = path.strip_prefix(root).unwrap();
                let above = below.parent().unwrap();
                let step = |folder, name: &std::ffi::OsStr| names[&(folder, name.to_owned())];
                (above.iter().fold(ROOT, step), below.file_name().unwrap().to_owned())
            };
            let node = |path: &Path, names: &HashMap<Name, Node>| match path == root {
                true => ROOT,
                false => names[&name(path, names)],
            };
            let step = match act {
                Act::Created(path) if names.contains_key(&name(path, &names)) => continue,
                Act::Made(path) | Act::Created(path) => {
                    let gains = name(path, &names);
                    if matches!(act, Act::Made(_)) {
                        folders.push(nodes);
                    }
                    names.insert(gains.clone(), nodes);
                    nodes += 1;
                    Step::Named { gains: Some(gains), loses: None, node: nodes - 1 }
                }
                Act::Appeared(path, bytes) => {
                    let gains = name(path, &names);
                    names.insert(gains.clone(), nodes);
                    nodes += 1;
                    let node = nodes - 1;
                    steps.push((place, Step::Written { node, at: 0, bytes: bytes.clone() }));
                    steps.push((place, Step::Synced(node)));
                    Step::Named { gains: Some(gains), loses: None, node }
                }
                Act::Renamed(from, to) => {
                    let (loses, gains) = (name(from, &names), name(to, &names));
                    let node = names.remove(&loses).unwrap();
                    names.insert(gains.clone(), node);
                    Step::Named { gains: Some(gains), loses: Some(loses), node }
                }
                Act::Removed(path) => {
                    let loses = name(path, &names);
                    let node = names.remove(&loses).unwrap();
                    Step::Named { gains: None, loses: Some(loses), node }
                }
                Act::Written(path, at, bytes) => {
                    let at = usize::try_from(*at).unwrap();
                    Step::Written { node: node(path, &names), at, bytes: bytes.clone() }
                }
                Act::Cut(path, length) => {
                    let length = usize::try_from(*length).unwrap();
                    Step::Cut { node: node(path, &names), length }
                }
                Act::Synced(path) => Step::Synced(node(path, &names)),
            };
            steps.push((place, step));
        }
        let certain = (0..steps.len()).map(|index| certain(&steps, index)).collect();
        Self { steps, certain, folders }
    }

    /// How many steps there are.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether a step changes names, and not the content of a file.
    pub(crate) fn is_name(&self, step: usize) -> bool {
        matches!(self.steps[step].1, Step::Named { .. })
    }

    /// Where a step is in the whole record.
    pub(crate) fn place(&self, step: usize) -> usize {
        self.steps[step].0
    }

    /// How many steps come before this place in the whole record.
    pub(crate) fn until(&self, place: usize) -> usize {
        self.steps.partition_point(|(at, _)| *at < place)
    }

    /// A step in words, without the content of files.
    pub(crate) fn told(&self, step: usize) -> String {
        let name = |(folder, name): &Name| format!("{folder}/{}", name.display());
        let names = |name_of: &Option<Name>| name_of.as_ref().map(name).unwrap_or_default();
        match &self.steps[step].1 {
            Step::Named { gains, loses, node } => {
                format!("{node} renamed from {:?} to {:?}", names(loses), names(gains))
            }
            Step::Written { node, at, bytes } => format!("{node} written, {} at {at}", bytes.len()),
            Step::Cut { node, length } => format!("{node} cut to {length}"),
            Step::Synced(node) => format!("{node} synced"),
        }
    }

    /// Whether a step makes others certain, or is the last: what may be lost before it includes what may be lost
    /// before the steps in front of it.
    pub(crate) fn is_sync(&self, step: usize) -> bool {
        self.steps.get(step).is_none_or(|(_, step)| matches!(step, Step::Synced(_)))
    }

    /// The steps of the first `count` that no sync makes certain.
    pub(crate) fn open(&self, count: usize) -> Vec<usize> {
        (0..count).filter(|step| self.certain[*step] > count).collect()
    }

    /// What is there after the first `count` steps, where these became of some.
    pub(crate) fn after(&self, count: usize, fates: &[(usize, Fate)]) -> Tree {
        let fates: HashMap<usize, Fate> = fates.iter().copied().collect();
        let mut names = BTreeMap::<Name, Node>::new();
        let mut writes = HashMap::<Node, Vec<(usize, Fate)>>::new();
        for (index, (_, step)) in self.steps[..count].iter().enumerate() {
            let fate = fates.get(&index).copied().unwrap_or(Fate::Kept);
            match step {
                Step::Synced(_) => {}
                _ if fate == Fate::Lost => {}
                Step::Named { gains, loses, node } => {
                    let both = fate == Fate::Both && !self.folders.contains(node);
                    if let Some(name) = loses
                        && !both
                        && names.get(name) == Some(node)
                    {
                        names.remove(name);
                    }
                    names.extend(gains.clone().map(|name| (name, *node)));
                }
                Step::Written { node, .. } | Step::Cut { node, .. } => {
                    writes.entry(*node).or_default().push((index, fate));
                }
            }
        }
        let mut tree = Tree::new();
        let mut rest = vec![(ROOT, PathBuf::new())];
        while let Some((folder, path)) = rest.pop() {
            let first = (folder, OsString::new());
            for ((_, name), node) in names.range(first..).take_while(|((at, _), _)| *at == folder) {
                let path = path.join(name);
                if self.folders.contains(node) {
                    tree.insert(path.clone(), None);
                    rest.push((*node, path));
                } else {
                    let writes = writes.get(node).cloned().unwrap_or_default();
                    tree.insert(path, Some(Content { node: *node, writes }));
                }
            }
        }
        tree
    }

    /// What is in a file.
    pub(crate) fn bytes(&self, content: &Content) -> Vec<u8> {
        let mut file = Vec::new();
        for (index, fate) in &content.writes {
            match &self.steps[*index].1 {
                Step::Written { at, bytes, .. } => {
                    let length = if *fate == Fate::Short { bytes.len() / 2 } else { bytes.len() };
                    file.resize(file.len().max(at + length), 0);
                    match fate {
                        Fate::Zeros => file[*at..at + length].fill(0),
                        _ => file[*at..at + length].copy_from_slice(&bytes[..length]),
                    }
                }
                Step::Cut { length, .. } => file.resize(*length, 0),
                Step::Named { .. } | Step::Synced(_) => {}
            }
        }
        file
    }

    /// Makes the files of a tree below a folder, with the names that a file has besides.
    pub(crate) fn write(&self, tree: &Tree, root: &Path) {
        let mut written = HashMap::<Node, PathBuf>::new();
        for (path, entry) in tree {
            let path = root.join(path);
            match entry {
                None => DirBuilder::new().mode(0o700).create(path).unwrap(),
                Some(Content { node, .. }) if written.contains_key(node) => {
                    fs::hard_link(&written[node], path).unwrap();
                }
                Some(content) => {
                    let mut options = OpenOptions::new();
                    let file = options.write(true).create_new(true).mode(0o600).open(&path);
                    file.unwrap().write_all(&self.bytes(content)).unwrap();
                    written.insert(content.node, path);
                }
            }
        }
    }
}

/// The files of a tree that are there under another name as well.
pub(crate) fn with_other_name(tree: &Tree) -> BTreeSet<PathBuf> {
    let nodes = || tree.iter().filter_map(|(path, file)| Some((path, file.as_ref()?.node)));
    let mut names = HashMap::<Node, usize>::new();
    nodes().for_each(|(_, node)| *names.entry(node).or_default() += 1);
    nodes().filter(|(_, node)| names[node] > 1).map(|(path, _)| path.clone()).collect()
}

/// How many steps there must be for a step to be certain: as many as it takes for its file, or one of the folders in
/// which it changed a name, to be synced.
fn certain(steps: &[(usize, Step)], index: usize) -> usize {
    let wanted: Vec<Node> = match &steps[index].1 {
        Step::Synced(_) => return 0,
        Step::Written { node, .. } | Step::Cut { node, .. } => vec![*node],
        Step::Named { gains, loses, .. } => gains.iter().chain(loses).map(|name| name.0).collect(),
    };
    let is_it =
        |(_, step): &(usize, Step)| matches!(step, Step::Synced(node) if wanted.contains(node));
    steps[index..].iter().position(is_it).map_or(usize::MAX, |later| index + later + 1)
}
