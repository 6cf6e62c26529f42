// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.os

open class Bundle

interface IBinder

class Looper {
    companion object {
        @JvmStatic fun getMainLooper(): Looper = TODO()
    }
}

object SystemClock {
    @JvmStatic fun elapsedRealtimeNanos(): Long = TODO()
}

object Build {
    object VERSION {
        @JvmField val SDK_INT: Int = 36
    }

    object VERSION_CODES {
        const val R = 30
        const val S = 31
    }
}
