//! An upstream's project list while it arrives: one thread reads it, and any number of lists are made of
//! its names meanwhile.

use std::sync::Arc;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, watch};

use crate::exchange::{Error, Flow};
use crate::page::{InvalidPage, ListReader, NamesRead, ProjectNames};
use crate::upstream::BodyPart;

/// Bytes of names that are passed on together, while more is there to be read.
const BLOCK_BYTES: usize = 64 << 10;

/// Bytes of names without which a list is not passed on before its end: what a moment brings is answered
/// with its length and its tag, and trouble that comes by then has a status.
const FIRST_BYTES: usize = 16 << 10;

/// A list that arrives, for its readers.
#[derive(Debug)]
pub struct ArrivingList(watch::Receiver<ListSoFar>);

/// The same for the one that brings it.
#[derive(Debug)]
pub struct ListArrival(watch::Sender<ListSoFar>);

#[derive(Debug, Default)]
struct ListSoFar {
    /// The names in the upstream's order, each followed by a line feed.
    blocks: Vec<Arc<str>>,
    /// No more will come.
    is_whole: bool,
    /// The names sorted, or why there is no list.
    end: Option<Flow<Arc<ProjectNames>>>,
}

impl ArrivingList {
    /// The blocks of names behind the first `at`, as soon as there are any; `None` when there will be
    /// none.
    ///
    /// # Errors
    /// When the list will not become whole.
    pub async fn next(&self, at: usize) -> Flow<Option<Vec<Arc<str>>>> {
        let has_more =
            |heard: &ListSoFar| heard.blocks.len() > at || heard.is_whole || heard.end.is_some();
        let mut heard = self.0.clone();
        let heard = heard.wait_for(has_more).await.map_err(|_| lost())?;
        match (heard.blocks.get(at..), &heard.end) {
            (Some(blocks), _) if !blocks.is_empty() => Ok(Some(blocks.to_vec())),
            (_, Some(Err(error))) => Err(error.clone()),
            _ => Ok(None),
        }
    }

    /// The names, sorted, once all have come.
    ///
    /// # Errors
    /// When the list will not become whole.
    pub async fn names(&self) -> Flow<Arc<ProjectNames>> {
        let mut heard = self.0.clone();
        let heard = heard.wait_for(|heard| heard.end.is_some()).await;
        let heard = heard.map_err(|_| lost())?;
        heard.end.clone().unwrap_or_else(|| Err(lost()))
    }
}

fn lost() -> Error {
    Error::busy("the project list is no longer read; the log says why")
}

impl ListArrival {
    /// Nothing has come.
    pub fn new() -> (Self, ArrivingList) {
        let (sender, receiver) = watch::channel(ListSoFar::default());
        (Self(sender), ArrivingList(receiver))
    }

    /// How it ended.
    pub fn end(&self, names: Flow<Arc<ProjectNames>>) {
        self.0.send_modify(|heard| heard.end = Some(names));
    }

    /// Reads a list out of an upstream's answer as that comes. `begun` is called when the first names can
    /// be passed on, unless the whole comes before. `None` if it broke off.
    ///
    /// # Errors
    /// When it is no list.
    pub fn read(
        &self,
        mut parts: mpsc::Receiver<BodyPart>,
        begun: impl FnOnce(),
    ) -> Result<Option<ProjectNames>, InvalidPage> {
        let mut reader = ListReader::new(None);
        let mut blocks = Blocks {
            arrival: self,
            next: String::new(),
            begun: Some(begun),
        };
        loop {
            let part = match parts.try_recv() {
                Err(TryRecvError::Empty) => {
                    blocks.pass_on();
                    parts.blocking_recv()
                }
                part => part.ok(),
            };
            match part {
                Some(BodyPart::Begun(content_type)) => reader = ListReader::new(content_type),
                Some(BodyPart::Bytes(bytes)) => {
                    reader.feed(&bytes)?;
                    reader.take_names(&mut blocks.next);
                    if blocks.next.len() >= BLOCK_BYTES {
                        blocks.pass_on();
                    }
                }
                Some(BodyPart::Whole) => {
                    let names = reader.end()?;
                    blocks.end(&names);
                    return Ok(Some(names.sorted()));
                }
                None => return Ok(None),
            }
        }
    }
}

struct Blocks<'a, F> {
    arrival: &'a ListArrival,
    next: String,
    /// `None` once it was called.
    begun: Option<F>,
}

impl<F: FnOnce()> Blocks<'_, F> {
    fn pass_on(&mut self) {
        if self.next.is_empty() || (self.begun.is_some() && self.next.len() < FIRST_BYTES) {
            return;
        }
        let block: Arc<str> = std::mem::take(&mut self.next).into();
        self.arrival.0.send_modify(|heard| heard.blocks.push(block));
        if let Some(begun) = self.begun.take() {
            begun();
        }
    }

    fn end(&mut self, names: &NamesRead) {
        self.next.push_str(names.not_taken());
        if self.begun.is_none() {
            self.pass_on();
            self.arrival.0.send_modify(|heard| heard.is_whole = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn entries(range: std::ops::Range<usize>) -> String {
        range
            .map(|n| format!("{{\"name\":\"P_{n:05}\"}},"))
            .collect()
    }

    /// Reads a list that comes in these parts and, while it does, what its readers have.
    fn read(
        parts: Vec<BodyPart>,
    ) -> (
        Result<Option<ProjectNames>, InvalidPage>,
        bool,
        ArrivingList,
    ) {
        let (to, from) = mpsc::channel(parts.len().max(1));
        for part in parts {
            to.try_send(part).unwrap();
        }
        drop(to);
        let (arrival, arriving) = ListArrival::new();
        let mut has_begun = false;
        let names = arrival.read(from, || has_begun = true);
        if let Err(error) = &names {
            arrival.end(Err(Error::bad_gateway(error.to_string())));
        }
        (names, has_begun, arriving)
    }

    fn bytes(text: String) -> BodyPart {
        BodyPart::Bytes(text.into())
    }

    #[test]
    fn a_short_list_comes_whole_and_a_long_one_while_it_arrives() {
        for (count, is_passed_on) in [(10, false), (20_000, true)] {
            let parts = vec![
                BodyPart::Begun(None),
                bytes(format!("{{\"projects\":[{}", entries(0..count))),
                bytes("{\"name\":\"last\"}]}".to_owned()),
                BodyPart::Whole,
            ];
            let (names, has_begun, arriving) = read(parts);
            assert_eq!(names.unwrap().unwrap().len(), count + 1);
            assert_eq!(has_begun, is_passed_on);
            if is_passed_on {
                let blocks = arriving.next(0).now_or_never().unwrap().unwrap().unwrap();
                let text = blocks.concat();
                assert_eq!(text.lines().count(), count + 1);
                assert!(text.starts_with("p-00000\n") && text.ends_with("\nlast\n"));
                assert!(
                    arriving
                        .next(blocks.len())
                        .now_or_never()
                        .unwrap()
                        .unwrap()
                        .is_none()
                );
            }
        }
    }

    #[test]
    fn what_breaks_off_or_turns_out_to_be_no_list_never_ends_well() {
        let begin = || {
            let text = format!("{{\"projects\":[{}", entries(0..20_000));
            vec![BodyPart::Begun(None), bytes(text)]
        };
        let (names, has_begun, arriving) = read(begin());
        assert!(names.unwrap().is_none() && has_begun);
        let passed = arriving.next(0).now_or_never().unwrap().unwrap().unwrap();
        assert!(arriving.next(passed.len()).now_or_never().unwrap().is_err());

        let mut broken = begin();
        broken.push(bytes("nonsense".to_owned()));
        broken.push(BodyPart::Whole);
        let (names, _, arriving) = read(broken);
        assert!(names.is_err());
        assert!(arriving.next(passed.len()).now_or_never().unwrap().is_err());
        assert!(arriving.names().now_or_never().unwrap().is_err());
    }
}
