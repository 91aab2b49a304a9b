//! A secret in a page of its own that is never written to swap, where the system allows that.

use std::fmt;

use region::LockGuard;

/// A value that wipes itself when dropped, in a page that holds nothing else and is locked in
/// memory.
pub(super) struct Locked<T> {
    /// `None` if the system refuses: more is locked already than this user may. Dropped first, so
    /// that the page is unlocked before it is freed.
    guard: Option<LockGuard>,
    page: Box<Page<T>>,
}

/// Whether the system lets this process keep an opened vault out of swap.
pub fn memory_can_be_locked() -> bool {
    Locked::new([0_u8; 1]).guard.is_some()
}

/// A whole page, aligned like one, so that unlocking it unlocks no other value.
#[repr(align(4096))]
struct Page<T>(T);

impl<T> Locked<T> {
    /// Takes charge of `value`.
    pub(super) fn new(value: T) -> Self {
        let page = Box::new(Page(value));
        let guard = region::lock(&raw const *page, size_of::<Page<T>>()).ok();
        Self { guard, page }
    }

    /// The value, for as long as the borrow lasts.
    pub(super) fn expose(&self) -> &T {
        &self.page.0
    }
}

impl<T> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_value_has_its_page_to_itself() {
        let (one, two) = (Locked::new([1_u8; 32]), Locked::new([2_u8; 32]));
        assert_eq!(one.expose(), &[1; 32]);
        let place = |locked: &Locked<[u8; 32]>| (&raw const *locked.page).addr();
        assert_eq!((place(&one) % 4096, place(&two) % 4096), (0, 0));
        assert_eq!(size_of::<Page<[u8; 32]>>(), 4096);
        assert_ne!(place(&one), place(&two));
    }

    /// Whether the kernel marks the mapping that a value lies in as locked.
    #[cfg(target_os = "linux")]
    fn is_marked(locked: &Locked<[u8; 32]>) -> bool {
        let place = (&raw const *locked.page).addr();
        let number = |hex: &str| usize::from_str_radix(hex, 16).ok();
        let range = |line: &str| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            Some(number(start)?..number(end)?)
        };
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let lines =
            maps.lines().skip_while(|line| !range(line).is_some_and(|r| r.contains(&place)));
        let flags = lines.into_iter().find(|line| line.starts_with("VmFlags:"));
        flags.unwrap().contains(" lo")
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_locked_value_is_locked_until_it_is_dropped() {
        let locked = Locked::new([7_u8; 32]);
        assert!(locked.guard.is_some() && is_marked(&locked));
        let Locked { guard, page } = locked;
        drop(guard);
        assert!(!is_marked(&Locked { guard: None, page }));
    }
}
