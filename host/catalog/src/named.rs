//! Enumerations that are stored, sent and typed under one stable name each.

/// Declares an enumeration whose variants have names: in the catalogue, in JSON, on the command line and in
/// messages alike.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $type:ident: $what:literal {
            $($(#[$doc:meta])* $variant:ident = $name:tt,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema)]
        pub enum $type {
            $($(#[$doc])* #[serde(rename = $name)] #[sqlx(rename = $name)] $variant,)+
        }

        impl $type {
            /// All of them, in the order in which they are declared.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = tamis_model::Error;

            fn from_str(name: &str) -> tamis_model::Result<Self> {
                let found = Self::ALL.iter().copied().find(|variant| variant.name() == name);
                found.ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|variant| variant.name()).collect();
                    let reason = format!("it is one of {}", names.join(", "));
                    tamis_model::Error::invalid(concat!("read ", $what), name, reason)
                })
            }
        }
    };
}

pub(crate) use named;
