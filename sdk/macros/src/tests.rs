//! What the macros refuse, and how they say it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, Result, parse_quote};

use crate::{aggregate, config, output, rule};

/// The text of an error.
fn refused(expanded: Result<TokenStream>) -> String {
    match expanded {
        Ok(expanded) => panic!("expected an error, found {expanded}"),
        Err(error) => error.to_string(),
    }
}

fn tumbling_rule(attributes: TokenStream) -> Result<TokenStream> {
    let function = parse_quote!(
        fn f(config: &Limits, payments: &Tumbling<Payment, Tally>) -> bool {
            true
        }
    );
    rule::expand(quote!(key = "psp", severity = "high", title = "A", #attributes), function)
}

#[test]
fn former_versions_of_a_state_ascend_and_come_before_this_one() {
    let check = |attributes: TokenStream, expected: &str| assert_eq!(refused(tumbling_rule(attributes)), expected);
    check(quote!(migrates(1 = f)), "former versions ascend from 1, and this is version 1");
    check(quote!(state_version = 2, migrates(2 = f)), "former versions ascend from 1, and this is version 2");
    check(quote!(state_version = 3, migrates(2 = f, 1 = g)), "former versions ascend from 1, and this is version 3");
    check(quote!(state_version = 3, migrates(1 = f, 1 = g)), "former versions ascend from 1, and this is version 3");
    check(quote!(state_version = 3, migrates(0 = f)), "former versions ascend from 1, and this is version 3");
    check(quote!(state_version = 0), "versions begin with 1");
    check(quote!(state_version = 256), "number too large to fit in target type");
    assert!(tumbling_rule(quote!(state_version = 3, migrates(1 = f, 2 = g::h))).is_ok());
}

#[test]
fn only_tumbling_windows_are_migrated() {
    let functions: [ItemFn; 3] = [
        parse_quote!(
            fn f(config: &Limits, payments: &Sliding<Payment>) -> bool {
                true
            }
        ),
        parse_quote!(
            fn f(pair: &Joined<Payment, Order>) -> bool {
                true
            }
        ),
        parse_quote!(
            fn f(payment: &Payment) -> bool {
                true
            }
        ),
    ];
    for function in functions {
        let attributes = quote!(key = "k", severity = "high", title = "A", state_version = 2, migrates(1 = f));
        let expected = "only tumbling windows have a tally to migrate: the states of other rules are reset";
        assert_eq!(refused(rule::expand(attributes, function)), expected);
    }
}

#[test]
fn an_aggregate_says_what_its_rows_are_called_and_how_long_its_windows_are() {
    let check = |attributes: TokenStream, expected: &str| {
        let function = parse_quote!(
            fn f(payments: &Tumbling<Payment, Tally>) -> Volume {
                Volume
            }
        );
        assert_eq!(refused(aggregate::expand(quote!(title = "A", #attributes), function)), expected);
    };
    let key = "say what groups events: `key = \"column\"`, or `key = \"all\"`";
    check(quote!(dataset = "d", windows("1m" = 60_000)), key);
    let dataset = "say where its rows go: `dataset = \"payments_by_currency\"`";
    check(quote!(key = "k", windows("1m" = 60_000)), dataset);
    check(quote!(key = "k", dataset = "d"), "say how long its windows are: `windows(\"1m\" = 60_000)`");
    let windows =
        |windows: TokenStream, expected: &str| check(quote!(key = "k", dataset = "d", windows(#windows)), expected);
    windows(quote!("1m" = 60_000, "1m" = 1), "two windows of that name or length");
    windows(quote!("1m" = 60_000, "60s" = 60000), "two windows of that name or length");
    windows(quote!("none" = 0), "a window is at least one millisecond long");
    windows(quote!("1/2m" = 30_000), "a length is named by lower-case letters and digits");
    check(quote!(severity = "high"), aggregate::MEMBERS);
}

#[test]
fn an_aggregate_is_a_function_of_a_tumbling_window() {
    let functions: [ItemFn; 3] = [
        parse_quote!(
            fn f(payments: &Sliding<Payment>) -> Volume {
                Volume
            }
        ),
        parse_quote!(
            fn f(payments: &Tumbling<Payment, Tally>) {}
        ),
        parse_quote!(
            fn f(payments: Tumbling<Payment, Tally>) -> Volume {
                Volume
            }
        ),
    ];
    for function in functions {
        let attributes = quote!(key = "k", dataset = "d", windows("1m" = 60_000), title = "A");
        assert_eq!(refused(aggregate::expand(attributes, function)), aggregate::SHAPE);
    }
}

#[test]
fn a_list_has_a_name_that_the_host_takes() {
    let check = |field: TokenStream, is_taken: bool| {
        let expanded = config::expand(parse_quote!(
            struct Limits {
                #field
            }
        ));
        assert_eq!(expanded.is_ok(), is_taken, "{field}");
        if !is_taken {
            let expected = "a list is named by lower-case letters, digits and `_`, a letter first";
            assert_eq!(refused(expanded), expected, "{field}");
        }
    };
    check(quote!(#[config(list)] countries: TextSet), true);
    check(quote!(#[config(list = "fraud_bins2")] bins: TextSet), true);
    check(quote!(#[config(list = "FraudBins")] bins: TextSet), false);
    check(quote!(#[config(list = "")] bins: TextSet), false);
    check(quote!(#[config(list = "2_bins")] bins: TextSet), false);
    check(quote!(#[config(list)] _bins: TextSet), false);
}

#[test]
fn only_the_row_of_a_dataset_has_a_key() {
    let check = |attribute: TokenStream, expected: &str| {
        let output = parse_quote!(
            #attribute
            struct Volume {
                count: i64,
            }
        );
        assert_eq!(refused(output::expand(output)), expected);
    };
    check(quote!(#[output(key = "count")]), "only the row of a `dataset = \"…\"` has it");
    check(quote!(#[output(dataset = "d", key = "sum")]), "there is no such field");
}
