import io.github.resilience4j.circuitbreaker.CallNotPermittedException;
import io.github.resilience4j.circuitbreaker.CircuitBreaker.State;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig.SlidingWindowType;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig.TransitionCheckResult;
import io.github.resilience4j.circuitbreaker.IllegalStateTransitionException;
import io.github.resilience4j.circuitbreaker.event.*;
import io.github.resilience4j.circuitbreaker.internal.CircuitBreakerStateMachine;
import io.github.resilience4j.circuitbreaker.internal.SchedulerFactory;
import io.github.resilience4j.core.IntervalFunction;
import io.github.resilience4j.ratelimiter.RateLimiterConfig;
import io.github.resilience4j.ratelimiter.internal.AtomicRateLimiter;
import io.github.resilience4j.retry.RetryConfig;
import io.github.resilience4j.retry.internal.RetryImpl;
import java.io.*;
import java.time.*;
import java.util.*;
import java.util.concurrent.TimeUnit;

/**
 * Asks the real Resilience4j. Reads one operation a line and answers each with one line of JSON: what can be seen
 * after it. "breaker key=value ...", "limiter key=value ..." and "retry key=value ..." begin anew.
 */
public class Oracle {
    static class Recorded extends Exception {}
    static class TripFor extends Recorded {}
    static class Ignored extends Exception {}
    static class NotRecorded extends Exception {}

    static class Due {
        long at; Runnable work;
        Due(long at, Runnable work) { this.at = at; this.work = work; }
    }

    /** Time that moves in `advance` only, with its timers in the order of their making. */
    static class VirtualClock extends Clock {
        long ns; final List<Due> timers = new ArrayList<>();
        VirtualClock(long ns) { this.ns = ns; }
        public ZoneId getZone() { return ZoneOffset.UTC; }
        public Clock withZone(ZoneId zone) { return this; }
        public Instant instant() { return Instant.ofEpochSecond(Math.floorDiv(ns, 1_000_000_000L), Math.floorMod(ns, 1_000_000_000L)); }
        Runnable schedule(long delay, Runnable work) {
            Due due = new Due(ns + delay, work);
            timers.add(due);
            return () -> timers.remove(due);
        }
        void advance(long span) {
            long end = ns + span;
            while (true) {
                Due next = timers.stream().filter(due -> due.at <= end).min(Comparator.comparingLong(due -> due.at)).orElse(null);
                if (next == null) break;
                timers.remove(next);
                ns = Math.max(ns, next.at);
                try { next.work.run(); } catch (RuntimeException lost) { /* an executor would swallow it too */ }
            }
            ns = end;
        }
    }

    static VirtualClock clock;
    static CircuitBreakerStateMachine breaker;
    static AtomicRateLimiter limiter;
    static final List<String> events = new ArrayList<>();
    static String result;

    static Map<String, String> options(String[] words) {
        Map<String, String> options = new HashMap<>();
        for (String word : words) if (word.contains("=")) options.put(word.split("=")[0], word.split("=")[1]);
        return options;
    }

    static void newBreaker(Map<String, String> o) {
        clock = new VirtualClock(Long.parseLong(o.get("startEpochNanos")));
        SchedulerFactory.timers = clock::schedule;
        Duration trip = Duration.ofMillis(Long.parseLong(o.get("tripForMillis")));
        CircuitBreakerConfig.Builder b = CircuitBreakerConfig.custom().clock(clock)
            .failureRateThreshold(Float.parseFloat(o.get("failureRateThreshold")))
            .slowCallRateThreshold(Float.parseFloat(o.get("slowCallRateThreshold")))
            .slowCallDurationThreshold(Duration.ofNanos(Long.parseLong(o.get("slowCallDurationThresholdNanos"))))
            .permittedNumberOfCallsInHalfOpenState(Integer.parseInt(o.get("permittedNumberOfCallsInHalfOpenState")))
            // One by one, as configuration files do: slidingWindow(size, minimum, type) lowers the minimum for half-open too.
            .slidingWindowSize(Integer.parseInt(o.get("slidingWindowSize")))
            .minimumNumberOfCalls(Integer.parseInt(o.get("minimumNumberOfCalls")))
            .slidingWindowType(SlidingWindowType.valueOf(o.get("slidingWindowType")))
            .automaticTransitionFromOpenToHalfOpenEnabled(Boolean.parseBoolean(o.get("automaticTransitionFromOpenToHalfOpenEnabled")))
            .maxWaitDurationInHalfOpenState(Duration.ofMillis(Long.parseLong(o.get("maxWaitDurationInHalfOpenStateMillis"))))
            .transitionToStateAfterWaitDuration(State.valueOf(o.getOrDefault("transitionToStateAfterWaitDuration", "OPEN")))
            .initialState(State.valueOf(o.getOrDefault("initialState", "CLOSED")))
            .recordException(error -> error instanceof Recorded).ignoreException(error -> error instanceof Ignored)
            .recordResult("failure"::equals)
            .transitionOnResult(outcome -> outcome.isLeft() || !(outcome.get() instanceof TripFor)
                ? TransitionCheckResult.noTransition() : TransitionCheckResult.transitionToOpenAndWaitFor(trip));
        String wait = o.get("waitDurationInOpenStateMillis");
        if (wait != null) b.waitIntervalFunctionInOpenState(IntervalFunction.of(Long.parseLong(wait)));
        else b.waitIntervalFunctionInOpenState(IntervalFunction.ofExponentialBackoff(Long.parseLong(o.get("initialMillis")),
            Double.parseDouble(o.get("multiplier")), Long.parseLong(o.get("maxMillis"))));
        limiter = null;
        breaker = new CircuitBreakerStateMachine("trace", b.build());
        breaker.getEventPublisher().onEvent(Oracle::hear);
    }

    static void hear(CircuitBreakerEvent event) {
        String text = event.getEventType().name();
        if (event instanceof CircuitBreakerOnStateTransitionEvent) {
            var moved = ((CircuitBreakerOnStateTransitionEvent) event).getStateTransition();
            text += ":" + moved.getFromState() + "_TO_" + moved.getToState();
        }
        if (event instanceof CircuitBreakerOnFailureRateExceededEvent) text += ":" + ((CircuitBreakerOnFailureRateExceededEvent) event).getFailureRate();
        if (event instanceof CircuitBreakerOnSlowCallRateExceededEvent) text += ":" + ((CircuitBreakerOnSlowCallRateExceededEvent) event).getSlowCallRate();
        events.add('"' + text + '"');
    }

    static void newLimiter(Map<String, String> o) {
        clock = new VirtualClock(Long.parseLong(o.get("startNanos")));
        VirtualClock own = clock;
        limiter = new AtomicRateLimiter("trace", RateLimiterConfig.custom()
            .limitForPeriod(Integer.parseInt(o.get("limitForPeriod")))
            .limitRefreshPeriod(Duration.ofNanos(Long.parseLong(o.get("limitRefreshPeriodNanos"))))
            .timeoutDuration(Duration.ofNanos(Long.parseLong(o.get("timeoutDurationNanos")))).build(), () -> own.ns);
        limiter.getEventPublisher().onEvent(event -> events.add('"' + event.getEventType().name() + ":" + event.getNumberOfPermits() + '"'));
    }

    /** One protected call, its attempts' outcomes in order: E raises, I raises what is ignored, B is a bad result, G a good one. */
    static String retry(Map<String, String> o) {
        List<Long> waits = new ArrayList<>();
        RetryImpl.setSleepFunction(waits::add);
        IntervalFunction interval = o.containsKey("multiplier")
            ? IntervalFunction.ofExponentialBackoff(Long.parseLong(o.get("waitMillis")), Double.parseDouble(o.get("multiplier")), Long.parseLong(o.get("maxMillis")))
            : IntervalFunction.of(Long.parseLong(o.get("waitMillis")));
        RetryImpl<String> retry = new RetryImpl<>("trace", RetryConfig.<String>custom().maxAttempts(Integer.parseInt(o.get("maxAttempts")))
            .intervalFunction(interval).ignoreExceptions(Ignored.class).retryOnResult("B"::equals).build());
        retry.getEventPublisher().onEvent(event -> events.add('"' + event.getEventType().name() + "#" + event.getNumberOfRetryAttempts() + '"'));
        Iterator<Integer> outcomes = o.get("outcomes").chars().iterator();
        String end;
        try {
            end = retry.executeCheckedSupplier(() -> {
                char outcome = (char) (int) outcomes.next();
                if (outcome == 'E') throw new Recorded();
                if (outcome == 'I') throw new Ignored();
                return String.valueOf(outcome);
            });
        } catch (Throwable error) { end = "raises " + error.getClass().getSimpleName(); }
        var m = retry.getMetrics();
        return String.format("{\"result\":\"%s\",\"waits\":%s,\"events\":%s,\"counts\":[%d,%d,%d,%d]}", end, waits, events,
            m.getNumberOfSuccessfulCallsWithoutRetryAttempt(), m.getNumberOfSuccessfulCallsWithRetryAttempt(),
            m.getNumberOfFailedCallsWithoutRetryAttempt(), m.getNumberOfFailedCallsWithRetryAttempt());
    }

    static void step(String[] w) {
        long first = w.length > 1 && w[1].matches("-?\\d+") ? Long.parseLong(w[1]) : 0;
        switch (w[0]) {
            case "tryAcquire" -> result = breaker.tryAcquirePermission() ? "\"ok\"" : "\"rejected\"";
            case "acquire" -> { breaker.acquirePermission(); result = "\"ok\""; }
            case "success" -> breaker.onSuccess(first, TimeUnit.NANOSECONDS);
            case "result" -> breaker.onResult(first, TimeUnit.NANOSECONDS, w[2].equals("null") ? null : w[2]);
            case "error" -> breaker.onError(first, TimeUnit.NANOSECONDS, switch (w[2]) {
                case "recorded" -> new Recorded(); case "ignored" -> new Ignored(); case "tripFor" -> new TripFor(); default -> new NotRecorded(); });
            case "release" -> breaker.releasePermission();
            case "advance" -> clock.advance(first);
            case "reset" -> breaker.reset();
            case "openFor" -> breaker.transitionToOpenStateFor(Duration.ofMillis(first));
            case "openUntil" -> breaker.transitionToOpenStateUntil(clock.instant().plusMillis(first));
            case "to" -> { switch (State.valueOf(w[1])) {
                case CLOSED -> breaker.transitionToClosedState(); case OPEN -> breaker.transitionToOpenState();
                case HALF_OPEN -> breaker.transitionToHalfOpenState(); case DISABLED -> breaker.transitionToDisabledState();
                case FORCED_OPEN -> breaker.transitionToForcedOpenState(); case METRICS_ONLY -> breaker.transitionToMetricsOnlyState(); } }
            case "reserve" -> result = String.valueOf(limiter.reservePermission((int) first));
            case "drain" -> limiter.drainPermissions();
            case "changeLimitForPeriod" -> limiter.changeLimitForPeriod((int) first);
            case "changeTimeoutDurationNanos" -> limiter.changeTimeoutDuration(Duration.ofNanos(first));
            default -> throw new IllegalArgumentException(w[0]);
        }
    }

    static String look() {
        String seen;
        if (limiter != null) {
            var m = limiter.getDetailedMetrics();
            seen = "\"availablePermissions\":" + m.getAvailablePermissions() + ",\"nanosToWait\":" + m.getNanosToWait() + ",\"cycle\":" + m.getCycle();
        } else {
            var m = breaker.getMetrics();
            seen = "\"state\":\"" + breaker.getState() + "\",\"failureRate\":\"" + m.getFailureRate() + "\",\"slowCallRate\":\"" + m.getSlowCallRate()
                + "\",\"bufferedCalls\":" + m.getNumberOfBufferedCalls() + ",\"failedCalls\":" + m.getNumberOfFailedCalls() + ",\"slowCalls\":" + m.getNumberOfSlowCalls()
                + ",\"slowFailedCalls\":" + m.getNumberOfSlowFailedCalls() + ",\"notPermittedCalls\":" + m.getNumberOfNotPermittedCalls();
        }
        if (!events.isEmpty()) seen += ",\"events\":" + events;
        return "{" + seen + (result == null ? "" : ",\"result\":" + result) + "}";
    }

    public static void main(String[] arguments) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        PrintStream out = new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16));
        for (String line; (line = in.readLine()) != null; ) {
            events.clear();
            result = null;
            String[] words = line.split(" ");
            String answer = null;
            try {
                switch (words[0]) {
                    case "breaker" -> newBreaker(options(words));
                    case "limiter" -> newLimiter(options(words));
                    case "retry" -> answer = retry(options(words));
                    case "end" -> { out.flush(); continue; }
                    default -> step(words);
                }
            } catch (CallNotPermittedException refused) { result = "\"rejected\"";
            } catch (IllegalStateTransitionException illegal) { result = "\"illegal\"";
            } catch (ArithmeticException wrong) { result = "\"arithmetic\""; }
            out.println(answer == null ? look() : answer);
        }
        out.flush();
    }
}
