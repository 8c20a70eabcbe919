//! The decoder of record lines against an independent reference, on generated damage and on a corpus of known cases.

mod corpus;
mod damage;
mod differential;
mod payments;
mod reference;
