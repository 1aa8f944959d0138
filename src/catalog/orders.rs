//! The order by name of the pages that are held, so that one of their files is found without looking at
//! the others.
//!
//! It is worked out when the first file of a page is looked for, and counts for that very page: another
//! page of the project is at another place, as long as the old one is remembered here, even weakly.

use std::sync::{Arc, Weak};

use crate::cache::Weighed;
use crate::model::{IndexName, ProjectName};
use crate::page::{NameOrder, ProjectPage};

/// What an entry takes besides its order.
const ENTRY_BYTES: usize = 300;

/// The orders of pages, by the index that says them and the project.
#[derive(Debug)]
pub struct NameOrders(Weighed<(IndexName, ProjectName), Arc<Made>>);

#[derive(Debug)]
struct Made {
    of: Weak<ProjectPage>,
    order: Arc<NameOrder>,
}

impl NameOrders {
    /// At most so many bytes of them.
    pub fn new(bytes_max: u64) -> Self {
        let weigh = |_: &_, made: &Arc<Made>| ENTRY_BYTES + made.order.weight_bytes();
        Self(Weighed::new(bytes_max, weigh))
    }

    /// The order of a page that an index says.
    pub fn of(&self, index: &IndexName, page: &Arc<ProjectPage>) -> Arc<NameOrder> {
        let key = (index.clone(), page.project.clone());
        let made = self.0.get(&key);
        if let Some(made) = made.filter(|made| std::ptr::eq(made.of.as_ptr(), Arc::as_ptr(page))) {
            return Arc::clone(&made.order);
        }
        let (of, order) = (Arc::downgrade(page), Arc::new(NameOrder::of(page)));
        let made = Made {
            of,
            order: Arc::clone(&order),
        };
        self.0.insert(key, Arc::new(made));
        order
    }

    pub fn weight_bytes(&self) -> u64 {
        self.0.weight_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_has_changed_is_ordered_again() {
        let orders = NameOrders::new(10_000);
        let index = IndexName::parse("root/dairy").unwrap();
        let mut page = Arc::new(ProjectPage::empty(ProjectName::parse("six").unwrap()));
        let before = orders.of(&index, &page);
        assert!(Arc::ptr_eq(&before, &orders.of(&index, &page)));
        // Nobody else holds it, so it is not copied.
        Arc::make_mut(&mut page).serial = Some(1);
        assert!(!Arc::ptr_eq(&before, &orders.of(&index, &page)));
    }
}
