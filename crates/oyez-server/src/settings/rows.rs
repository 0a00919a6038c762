//! What the rows of the table become.

/// Each row is the documentation, `key: as people write it => as it is checked`, and those columns of
/// [`Setting`](super::setting::Setting) that differ from an empty row.
macro_rules! settings {
    ($(
        $(#[doc = $line:literal])+
        $key:ident: $written:ty => $checked:ty { $($column:ident: $value:expr),* $(,)? }
    )+) => {
        /// What a source says; what it does not say is left to the source below it: flags, then environment, then file, then
        /// defaults. Values are as people write them and are checked by [`Settings::resolve`].
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Settings {
            $($(#[doc = $line])+ pub $key: Option<$written>,)+
        }

        /// Each setting by itself, checked; where nothing was said, its default.
        #[derive(Debug, Clone)]
        pub(crate) struct Checked {
            $(pub(crate) $key: $checked,)+
        }

        /// All settings, in the order in which people are told of them.
        pub const SETTINGS: &[Setting] = &[$(
            Setting {
                key: stringify!($key),
                kind: <$written as Written>::KIND,
                lines: &[$($line),+],
                $($column: $value,)*
                ..Setting::NEW
            },
        )+];

        impl Settings {
            /// These settings, and what they do not say from `below`.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($key: self.$key.or(below.$key),)+ }
            }

            /// The keys of the settings that do not say the same in `other`.
            #[must_use]
            pub fn changed(&self, other: &Self) -> Vec<&'static str> {
                let changed = [$((stringify!($key), self.$key != other.$key)),+];
                changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key).collect()
            }

            /// Notes what a source says of the setting with this key; `false` when there is none.
            pub(crate) fn note(&mut self, key: &str, said: Said<'_>) -> Result<bool, Unread> {
                $(if key == stringify!($key) {
                    self.$key = Some(said.read()?);
                    return Ok(true);
                })+
                Ok(false)
            }

            /// Checks each setting by itself.
            pub(crate) fn check(self) -> Result<Checked, ConfigError> {
                let mut rows = SETTINGS.iter();
                let mut row = || rows.next().expect("as many rows as fields: both are made here");
                Ok(Checked { $($key: row().check(self.$key)?,)+ })
            }
        }
    };
}

pub(crate) use settings;
