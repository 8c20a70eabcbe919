//! The company's shops, from a CSV export.

use tamis_sdk::prelude::*;

/// A row of the export. Headers match whatever their case, with spaces, `_` or `-`.
#[derive(Row)]
#[row(source = "my_plugin", format = "csv")]
pub struct Export<'a> {
    shop_id: Option<&'a str>,
    city: Option<&'a str>,
    #[row(personal)]
    manager_email: Option<&'a str>,
    opened_on: Option<&'a str>,
    rent: Option<&'a str>,
}

/// A row of the table. A cell that cannot be read becomes null and is counted.
#[derive(Output)]
#[output(dataset = "silver.my_plugin", key = "shop_id")]
pub struct Shop<'a> {
    shop_id: &'a str,
    city: Option<&'a str>,
    manager: Option<Pseudo<'a>>,
    opened_on: Cell<Date>,
    rent: Cell<Cents>,
}

/// The company's shops
#[transform]
pub fn my_plugin<'a>(export: &Export<'a>) -> Outcome<Shop<'a>> {
    let Some(shop_id) = read::text(export.shop_id) else { return Outcome::Reject("no shop_id") };
    if shop_id.starts_with("TEST-") {
        return Outcome::Filter;
    }
    Outcome::Keep(Shop {
        shop_id,
        city: read::text(export.city),
        manager: read::text(export.manager_email).map(Pseudo),
        opened_on: read::date(export.opened_on),
        rent: read::amount(export.rent),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_needs_its_id() {
        let export = Export { shop_id: None, city: Some("Lyon"), manager_email: None, opened_on: None, rent: None };
        assert!(matches!(my_plugin(&export), Outcome::Reject("no shop_id")));
    }
}
