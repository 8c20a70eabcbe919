//! From the tree of an expression to a [plan](crate::plan): names and types are checked here, and what is constant is computed.

mod arithmetic;
mod compare;
mod decimal;
mod function;
mod names;
mod signature;
mod value;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};

use crate::columns::{Column, ColumnType, Topic};
use crate::parse::{PRESENT, Parsed, Places};
use crate::place::{Place, Refusal};
use crate::plan::{Binary, IntegerSource, Number, Relation, Test, Text, Unary};

pub use value::Counting;
use value::{Pair, Value};

/// How many parts an expression may have once its macros are written out.
const PARTS_MAX: usize = 4096;

/// The operators that compare.
const RELATIONS: [(&str, Relation); 6] = [
    (operators::EQUALS, Relation::Equal),
    (operators::NOT_EQUALS, Relation::NotEqual),
    (operators::LESS, Relation::Less),
    (operators::LESS_EQUALS, Relation::LessOrEqual),
    (operators::GREATER, Relation::Greater),
    (operators::GREATER_EQUALS, Relation::GreaterOrEqual),
];

/// The operators that compute.
const ARITHMETIC: [(&str, Binary); 5] = [
    (operators::ADD, Binary::Add),
    (operators::SUBSTRACT, Binary::Subtract),
    (operators::MULTIPLY, Binary::Multiply),
    (operators::DIVIDE, Binary::Divide),
    (operators::MODULO, Binary::Remainder),
];

/// The columns that the expressions of a rule use, in the order of their first use.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// The columns.
    pub columns: Vec<Column>,
}

impl Used {
    fn index(&mut self, column: &Column) -> usize {
        self.columns.iter().position(|used| used.name == column.name).unwrap_or_else(|| {
            self.columns.push(column.clone());
            self.columns.len() - 1
        })
    }
}

/// Compiles a condition over the columns of `topic` and the declared `counts`.
pub fn condition(parsed: &Parsed<'_>, topic: &Topic, counts: &[&str], used: &mut Used) -> Result<Test, Refusal> {
    let mut compiler =
        Compiler { topic, counts, places: &parsed.places, used, variables: Vec::new(), parts: 0, foreign: 0 };
    match compiler.value(&parsed.root)? {
        Value::Truth { holds, .. } => Ok(holds),
        other => Err(parsed.places.refuse(parsed.root.id, format!("it is {}, not true or false", other.kind()))),
    }
}

struct Compiler<'a> {
    topic: &'a Topic,
    counts: &'a [&'a str],
    places: &'a Places<'a>,
    used: &'a mut Used,
    /// What the variables of macros mean and how many parts that has, the innermost last.
    variables: Vec<(&'a str, Value, usize)>,
    /// How many parts there are so far, each as often as it is written out.
    parts: usize,
    /// How many names were given to what the interpreter is handed.
    foreign: usize,
}

impl<'a> Compiler<'a> {
    fn value(&mut self, expression: &'a IdedExpr) -> Result<Value, Refusal> {
        let id = expression.id;
        self.spend(id, 1)?;
        match &expression.expr {
            Expr::Literal(literal) => self.literal(id, literal),
            Expr::Ident(name) => self.name(id, name),
            Expr::Call(call) => self.call(expression, call),
            Expr::List(list) => Ok(Value::List(list.elements.iter().map(|e| self.value(e)).collect::<Result<_, _>>()?)),
            Expr::Map(_) => self.map(expression),
            Expr::Comprehension(unrolled) => self.unroll(id, unrolled),
            Expr::Select(select) => {
                let why = format!("a column stands by itself, `{}`; nothing has fields", select.field);
                Err(self.refuse(id, why))
            }
            Expr::Struct(_) | Expr::Unspecified => Err(self.refuse(id, "there are no structures")),
        }
    }

    fn refuse(&self, id: u64, why: impl Into<String>) -> Refusal {
        self.places.refuse(id, why)
    }

    /// Counts parts.
    fn spend(&mut self, id: u64, parts: usize) -> Result<(), Refusal> {
        self.parts = self.parts.saturating_add(parts);
        if self.parts > PARTS_MAX {
            return Err(self.refuse(id, format!("written out it has more than {PARTS_MAX} parts")));
        }
        Ok(())
    }

    fn place(&self, id: u64) -> Place {
        self.places.of(id)
    }

    #[inline(never)]
    fn literal(&self, id: u64, literal: &LiteralValue) -> Result<Value, Refusal> {
        Ok(match literal {
            LiteralValue::Null => Value::Null,
            LiteralValue::Boolean(truth) => Value::truth(Test::Always(*truth.inner())),
            LiteralValue::Int(number) => Value::Integer(Number::Constant(*number.inner())),
            LiteralValue::Double(number) => Value::Double(Number::Constant(*number.inner())),
            LiteralValue::String(text) => Value::Text(Text::Constant(text.inner().to_owned())),
            LiteralValue::UInt(number) => {
                return Err(self.refuse(id, format!("write {0}, not {0}u: integers have a sign", number.inner())));
            }
            LiteralValue::Bytes(_) => return Err(self.refuse(id, "there are no bytes, only texts")),
        })
    }

    #[inline(never)]
    fn name(&mut self, id: u64, name: &str) -> Result<Value, Refusal> {
        if let Some((_, value, parts)) = self.variables.iter().rev().find(|(variable, ..)| *variable == name) {
            let (value, parts) = (value.clone(), *parts);
            return self.spend(id, parts).map(|()| value);
        }
        if let Some(count) = self.counts.iter().position(|count| *count == name) {
            return Ok(Value::Integer(Number::Special(Box::new(IntegerSource::Count(count)))));
        }
        let Some(column) = self.topic.columns.iter().find(|column| column.name == name) else {
            return Err(self.refuse(id, names::unknown_column(name, self.topic, self.counts)));
        };
        let Some(column_type) = column.column_type else {
            let why = format!("`{name}` is kept as it came and is no column; conditions cannot use it");
            return Err(self.refuse(id, why));
        };
        let index = self.used.index(column);
        Ok(match column_type {
            ColumnType::Text => Value::Text(Text::Column(index)),
            ColumnType::Int64 => Value::Integer(Number::Column(index)),
            ColumnType::Decimal => Value::Decimal(Number::Column(index), 2),
            ColumnType::Float64 => Value::Double(Number::Column(index)),
            ColumnType::Boolean => Value::Truth { holds: Test::Flag(index), present: Test::Present(index) },
        })
    }

    #[inline(never)]
    fn call(&mut self, expression: &'a IdedExpr, call: &'a CallExpr) -> Result<Value, Refusal> {
        let id = expression.id;
        let name = call.func_name.as_str();
        let relation = RELATIONS.iter().find(|(operator, _)| *operator == name);
        let arithmetic = ARITHMETIC.iter().find(|(operator, _)| *operator == name);
        match (name, call.args.as_slice(), relation, arithmetic) {
            (operators::LOGICAL_AND, tests, ..) => Ok(Value::truth(Test::all(self.truths("&&", tests)?))),
            (operators::LOGICAL_OR, tests, ..) => Ok(Value::truth(Test::any(self.truths("||", tests)?))),
            (operators::LOGICAL_NOT, [test], ..) => Ok(Value::truth(Test::negated(self.truth("!", test)?))),
            (operators::CONDITIONAL, [test, yes, no], ..) => self.choice(id, [test, yes, no]),
            (operators::NEGATE, [operand], ..) => self.negated(id, operand),
            (operators::IN, [left, right], ..) => self.within(expression, [left, right]),
            (operators::INDEX, [container, index], ..) => self.index(expression, [container, index]),
            (PRESENT, [operand], ..) if call.target.is_none() => self.present(id, operand),
            (_, [left, right], Some((_, relation)), _) => self.compared(id, *relation, [left, right]),
            (operators::ADD, [left, right], ..) => self.sum(expression, [left, right]),
            (_, [left, right], _, Some((_, operator))) => self.computed(id, *operator, [left, right]),
            _ => self.function(expression, call),
        }
    }

    // Each operator has a frame of its own: what calls itself must leave room on the stack.

    #[inline(never)]
    fn negated(&mut self, id: u64, operand: &'a IdedExpr) -> Result<Value, Refusal> {
        let operand = self.value(operand)?;
        arithmetic::unary(Unary::Negate, operand, self.place(id))
    }

    #[inline(never)]
    fn present(&mut self, id: u64, operand: &'a IdedExpr) -> Result<Value, Refusal> {
        let operand = self.value(operand)?;
        compare::presence(operand, self.place(id)).map(Value::truth)
    }

    #[inline(never)]
    fn compared(&mut self, id: u64, relation: Relation, [left, right]: [&'a IdedExpr; 2]) -> Result<Value, Refusal> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        compare::relation(relation, left, right, self.place(id)).map(Value::truth)
    }

    #[inline(never)]
    fn computed(&mut self, id: u64, operator: Binary, [left, right]: [&'a IdedExpr; 2]) -> Result<Value, Refusal> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        arithmetic::binary(operator, left, right, self.place(id))
    }

    /// What stands where only true or false can; null is false there.
    fn truth(&mut self, operator: &str, expression: &'a IdedExpr) -> Result<Test, Refusal> {
        match self.value(expression)? {
            Value::Truth { holds, .. } => Ok(holds),
            other => Err(self.refuse(expression.id, format!("`{operator}` takes true or false, not {}", other.kind()))),
        }
    }

    #[inline(never)]
    fn truths(&mut self, operator: &str, expressions: &'a [IdedExpr]) -> Result<Vec<Test>, Refusal> {
        expressions.iter().map(|expression| self.truth(operator, expression)).collect()
    }

    #[inline(never)]
    fn choice(&mut self, id: u64, [test, yes, no]: [&'a IdedExpr; 3]) -> Result<Value, Refusal> {
        let test = self.truth("?", test)?;
        let (yes, no) = (self.value(yes)?, self.value(no)?);
        let kinds = (yes.kind(), no.kind());
        match (yes, no) {
            (Value::Truth { holds: a, present: p }, Value::Truth { holds: b, present: q }) => {
                // That the test fails is said by the truth.
                let present = match (p, q) {
                    (Test::Always(true), Test::Always(true)) => Test::Always(true),
                    (p, q) => Test::choice(test.clone(), p, q),
                };
                Ok(Value::Truth { holds: Test::choice(test, a, b), present })
            }
            (Value::Text(a), Value::Text(b)) => {
                if test.counts() {
                    return Err(self.refuse(id, "a count cannot choose a text"));
                }
                Ok(Value::Text(Text::Choice(Box::new(test), Box::new([a, b]))))
            }
            (yes, no) => match Pair::of(yes, no, self.place(id)) {
                Some(pair) => Ok(arithmetic::choice(test, pair)),
                None => Err(self.refuse(id, format!("`? :` has {} on one side and {} on the other", kinds.0, kinds.1))),
            },
        }
    }

    /// `list.exists(x, …)` and its like: the condition on each element of a list that is written out.
    #[inline(never)]
    fn unroll(&mut self, id: u64, unrolled: &'a ComprehensionExpr) -> Result<Value, Refusal> {
        let before = self.parts;
        let Value::List(elements) = self.value(&unrolled.iter_range)? else {
            return Err(self.refuse(id, "only a list that is written out can be gone through"));
        };
        // An element has at most as many parts as the list.
        let parts = if elements.iter().all(Value::is_constant) { 0 } else { self.parts - before };
        let Some((quantifier, condition)) = Quantifier::of(unrolled) else {
            return Err(self.refuse(
                id,
                "`map` and `filter` make lists, and no column is one: there are `exists`, `all` and `exists_one`",
            ));
        };
        let mut tests = Vec::with_capacity(elements.len());
        for element in elements {
            self.variables.push((&unrolled.iter_var, element, parts));
            let test = self.truth(quantifier.name(), condition);
            self.variables.pop();
            tests.push(test?);
        }
        Ok(Value::truth(match quantifier {
            Quantifier::Exists => Test::any(tests),
            Quantifier::All => Test::all(tests),
            Quantifier::ExistsOne => arithmetic::exactly_one(tests, self.place(id)),
        }))
    }
}

/// What a macro asks of the elements of a list.
#[derive(Clone, Copy, Debug)]
enum Quantifier {
    Exists,
    All,
    ExistsOne,
}

impl Quantifier {
    /// Reads it from what the parser makes of a macro: a loop that starts from false, true or 0; and the condition in it.
    fn of(unrolled: &ComprehensionExpr) -> Option<(Self, &IdedExpr)> {
        let Expr::Literal(start) = &unrolled.accu_init.expr else { return None };
        let Expr::Call(step) = &unrolled.loop_step.expr else { return None };
        match (start, step.args.as_slice()) {
            (LiteralValue::Boolean(start), [_, condition]) => {
                Some((if *start.inner() { Self::All } else { Self::Exists }, condition))
            }
            (LiteralValue::Int(_), [condition, _, _]) => Some((Self::ExistsOne, condition)),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Exists => operators::EXISTS,
            Self::All => operators::ALL,
            Self::ExistsOne => operators::EXISTS_ONE,
        }
    }
}
