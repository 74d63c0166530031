//! What is counted on the way of a command: atomic numbers, without a lock and without taking memory.

use std::{
    marker::PhantomData,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::limits::METRIC_WORDS_MAX;

/// The words of one label, as a closed list.
pub trait Word: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];
    /// As it stands in the label.
    fn word(self) -> &'static str;
    /// Its place in `ALL`.
    fn place(self) -> usize;
}

/// Makes an enumeration whose variants are the words of a label.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$about:meta])* $variant:ident $word:literal)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$about])* $variant),+ }

        impl $crate::telemetry::count::Word for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}
pub(super) use words;

/// One number for each word of a closed list.
#[derive(Debug)]
pub struct Counts<W> {
    counts: Box<[AtomicU64]>,
    words: PhantomData<W>,
}

impl<W: Word> Default for Counts<W> {
    fn default() -> Self {
        Self { counts: W::ALL.iter().map(|_| AtomicU64::new(0)).collect(), words: PhantomData }
    }
}

impl<W: Word> Counts<W> {
    /// One more.
    pub fn one(&self, word: W) {
        self.add(word, 1);
    }

    /// Some more.
    pub fn add(&self, word: W, more: u64) {
        if let Some(count) = self.counts.get(word.place()) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Every word with its number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        W::ALL.iter().zip(&self.counts).map(|(word, count)| (word.word(), count.load(Ordering::Relaxed)))
    }
}

/// Something for each word of a list that another room keeps, such as access classes. Words take their places as
/// they come; what comes after `METRIC_WORDS_MAX` shares the last one, `other`.
#[derive(Debug)]
pub struct ByWord<T> {
    places: [(OnceLock<&'static str>, T); METRIC_WORDS_MAX],
    other: T,
}

impl<T: Default> Default for ByWord<T> {
    fn default() -> Self {
        Self { places: std::array::from_fn(|_| Default::default()), other: T::default() }
    }
}

impl<T> ByWord<T> {
    /// What belongs to a word.
    pub fn of(&self, word: &'static str) -> &T {
        let place = self.places.iter().find(|(taken, _)| *taken.get_or_init(|| word) == word);
        place.map_or(&self.other, |(_, it)| it)
    }

    /// Every word that came with what belongs to it.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        let came = self.places.iter().map_while(|(word, it)| word.get().map(|word| (*word, it)));
        let full = self.places.last().is_some_and(|(word, _)| word.get().is_some());
        came.chain(full.then_some(("other", &self.other)))
    }
}

/// How long something took, in buckets.
#[derive(Debug)]
pub struct Histogram {
    /// For each of `BUCKETS`, how many took at most so long and longer than the one before; the last: longer.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanoseconds: AtomicU64,
}

/// The upper ends of the buckets.
pub const BUCKETS: [Duration; 14] = [
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
];

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), nanoseconds: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// One more.
    pub fn observe(&self, took: Duration) {
        let place = BUCKETS.iter().position(|end| took <= *end).unwrap_or(BUCKETS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The sum in seconds, and for each bucket its upper end and how many are in it alone.
    pub fn read(&self) -> (f64, Vec<(f64, u64)>) {
        let ends = BUCKETS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        (sum, ends.zip(counts).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    words!(Colour { Red "red" Green "green" });

    #[test]
    fn words_have_a_number_each() {
        let counts = Counts::default();
        counts.one(Colour::Green);
        counts.add(Colour::Green, 2);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("red", 0), ("green", 3)]);
    }

    #[test]
    fn words_beyond_the_bound_are_counted_together() {
        let counts = ByWord::<AtomicU64>::default();
        let names: Vec<&'static str> = (0..METRIC_WORDS_MAX + 2)
            .map(|number| &*Box::leak(format!("w{number}").into_boxed_str()))
            .collect();
        for _ in 0..2 {
            for name in &names {
                counts.of(name).fetch_add(1, Ordering::Relaxed);
            }
        }
        let found: Vec<_> = counts.iter().map(|(word, it)| (word, it.load(Ordering::Relaxed))).collect();
        assert_eq!(found.len(), METRIC_WORDS_MAX + 1);
        assert_eq!((found.first(), found.last()), (Some(&("w0", 2)), Some(&("other", 4))));
    }

    #[test]
    fn a_bucket_holds_what_took_at_most_its_end() {
        let histogram = Histogram::default();
        for took in
            [Duration::ZERO, BUCKETS[0], BUCKETS[0] + Duration::from_nanos(1), Duration::from_secs(21)]
        {
            histogram.observe(took);
        }
        let (sum, buckets) = histogram.read();
        let counts: Vec<_> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!((counts[0], counts[1], counts[14], counts.iter().sum::<u64>()), (2, 1, 1, 4));
        assert!((sum - 21.000_500_001).abs() < 1e-9, "{sum}");
    }
}
