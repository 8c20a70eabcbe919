//! The decoder of records against an independent reference, on generated damage and on a corpus of known cases.

mod corpus;
mod damage;
mod differential;
mod frames;
mod payments;
mod reference;
