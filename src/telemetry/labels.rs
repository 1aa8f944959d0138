//! How a closed set of words is declared.

/// Declares an enum and the word of each variant side by side, so that none is without one.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            pub enum $name { $($(#[$variant_doc])* $variant,)+ }

            impl $crate::telemetry::LabelSet for $name {
                const ALL: &'static [Self] = &[$(Self::$variant,)+];
            }

            impl $crate::telemetry::Label for $name {
                fn label(self) -> &'static str {
                    match self { $(Self::$variant => $word,)+ }
                }
            }
        )+
    };
}

pub(crate) use labels;
