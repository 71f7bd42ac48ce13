package io.github.resilience4j.circuitbreaker.internal;

import java.lang.reflect.Proxy;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;

/** Stands first on the class path, so that the state machine takes its timers from the oracle's virtual clock. */
public class SchedulerFactory {
    /** Takes a delay in nanoseconds and the work; gives what cancels it. */
    public static BiFunction<Long, Runnable, Runnable> timers;

    public static SchedulerFactory getInstance() {
        return new SchedulerFactory();
    }

    public ScheduledExecutorService getScheduler() {
        return proxy(ScheduledExecutorService.class, (method, arguments) -> {
            if (!method.equals("schedule")) throw new UnsupportedOperationException(method);
            long delay = ((TimeUnit) arguments[2]).toNanos((Long) arguments[1]);
            Runnable cancel = timers.apply(delay, (Runnable) arguments[0]);
            return proxy(ScheduledFuture.class, (name, ignored) -> {
                if (name.equals("cancel")) cancel.run();
                return name.startsWith("is") || name.equals("cancel") ? (Object) false : null;
            });
        });
    }

    private static <T> T proxy(Class<T> type, BiFunction<String, Object[], Object> answer) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (self, method, arguments) -> answer.apply(method.getName(), arguments)));
    }
}
